"""Names of downloads: whatever is sent, each file has its own place below the folder, and its part another."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videod.errors import BadMessage
from videod.transfer.filenames import FileNames, beside, extension

NAMES = st.text("ab./\\\x00\té~😀", max_size=8) | st.sampled_from(
    ["a.part", "a.part.note", "a", "a/b", "x" * 250, "x" * 254]
)


@settings(deadline=None)
@given(st.lists(NAMES, max_size=30), st.sampled_from(["", "https://h/x.part", "/a.note", "https://h/é.b?q=.c/d#.e"]))
def test_no_two_are_in_each_others_way(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], address: str
) -> None:
    taken, folder = FileNames(), tmp_path_factory.mktemp("names")
    made: dict[str, int] = {}
    for n, name in enumerate(names):
        try:
            path = taken.take(name, address)
        except BadMessage:
            continue
        made[path] = n
        assert os.path.normpath(path) == path and not path.startswith(("/", "../"))
        for one in (path, *beside(path)):
            where = folder / one
            where.parent.mkdir(parents=True, exist_ok=True)
            assert not where.exists(), (one, names)
            where.write_text(str(n))
    assert all((folder / path).read_text() == str(n) for path, n in made.items())


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("https://example.org/a/b.mp4?x=c.d#e.f", ".mp4"),
        ("https://example.org/b%2Emov", ".mov"),
        ("https://example.org/v1.2/b", ""),
        ("https://example.org", ""),
        ("https://example.org/.hidden", ""),
        ("https://example.org/a.b/", ""),
        ("https://example.org/a.tooLongExt", ""),
        ("/srv/a.MP4", ".MP4"),
        ("file:///srv/a.ts", ".ts"),
        ("s3://bucket/key.bin", ".bin"),
    ],
)
def test_extensions(address: str, wanted: str) -> None:
    assert extension(address) == wanted
    assert FileNames().take("name", address) == "name" + wanted
    assert FileNames().take("na.me", address) == "na.me"
