"""XML of a recorder, read with nothing but local names: some send a namespace and a declaration, some neither.

Entities, a DTD, and what is larger than any sound answer are refused: an answer cannot make us read files or grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

# a search of 64 recordings has 80 KB, the channels of the largest recorders a few hundred
MOST_BYTES = 2 << 20
LONGEST_TEXT = 8192
NAMESPACE = "http://www.isapi.org/ver20/XMLSchema"


class Unreadable(ValueError):
    """The answer is no XML that we read."""


class Node:
    """An element; names are local names."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        """Its own name."""
        return _local(self._element)

    def all(self, name: str) -> Iterator[Node]:
        """The elements of this name below, however deep, in order."""
        return (Node(found) for found in self._element.iter() if _local(found) == name and found is not self._element)

    def text(self, name: str) -> str:
        """The text of the first of this name below, stripped; empty if there is none."""
        found = next(self.all(name), None)
        return (found._element.text or "").strip()[:LONGEST_TEXT] if found else ""

    def verbatim(self, name: str) -> str:
        """The same with all its blanks, and not cut; ValueError where it is longer than any sound one."""
        found = next(self.all(name), None)
        text = (found._element.text or "") if found else ""
        if len(text) > LONGEST_TEXT:
            raise Unreadable(f"its {name} is longer than {LONGEST_TEXT} characters")
        return text


def parse(data: bytes) -> Node:
    """The root of a document. Raises Unreadable."""
    if len(data) > MOST_BYTES:
        raise Unreadable(f"more than {MOST_BYTES} bytes")
    try:
        return Node(ElementTree.fromstring(data.strip(), forbid_dtd=True))
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        # of an encoding that Python does not know it is a LookupError
        raise Unreadable(f"{type(error).__name__}: {str(error)[:100]}") from None


def said(data: bytes) -> str:
    """What an answer that is no success says, in a few words fit for an error text; empty: nothing that we read."""
    try:
        node = parse(data)
    except Unreadable:
        return ""
    words = (node.text(name) for name in ("statusString", "subStatusCode", "errorMsg", "responseStatusStrg"))
    shown = ", ".join(dict.fromkeys(word[:80] for word in words if word))
    return "".join(sign for sign in shown if sign.isprintable())


def left(data: bytes) -> str:
    """What a refused login may still do, as the answer tells it; empty: it does not."""
    try:
        node = parse(data)
    except Unreadable:
        return ""
    locked, tries = node.text("unlockTime"), node.text("retryLoginTime")
    if node.text("lockStatus") == "lock":
        return "the account is locked" + (f" for {locked} s" if locked.isdecimal() and len(locked) < 9 else "")
    return f"{tries} tries are left" if tries.isdecimal() and len(tries) < 9 else ""


def element(name: str, *inside: str) -> str:
    """An element around others."""
    return f"<{name}>{''.join(inside)}</{name}>"


def leaf(name: str, text: object) -> str:
    """An element around a text."""
    return element(name, escape(str(text)))


def document(name: str, *inside: str) -> bytes:
    """A whole document of ours."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<{name} version="1.0" xmlns="{NAMESPACE}">{"".join(inside)}</{name}>'.encode()


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]
