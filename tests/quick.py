"""Tables of cases of which the ordinary run takes some, and `make test-all` the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some(cases: Iterable[str], *quick: str) -> list[Any]:
    """All cases for `parametrize`; those that are not `quick` are long."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.long) for case in cases]
