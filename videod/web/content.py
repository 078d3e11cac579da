"""What is certainly no video, by its first bytes. The daemon has the last word: this only spares a long wait."""

from __future__ import annotations

import re

ENOUGH = 512
# what a file begins with, and what that is
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a compressed file"),
    (b"BZh", "a compressed file"),
    (b"\xfd7zXZ\x00", "a compressed file"),
    (b"\x28\xb5\x2f\xfd", "a compressed file"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"Rar!\x1a\x07", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"#!", "a script"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89PNG\r\n\x1a\n", "a picture"),
    (b"GIF87a", "a picture"),
    (b"GIF89a", "a picture"),
    (b"II*\x00", "a picture"),
    (b"MM\x00*", "a picture"),
    (b"8BPS", "a picture"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (b"SQLite format 3\x00", "a database"),
    (b"#EXTM3U", "a playlist"),
    (b"{\\rtf", "a document"),
)
_MARKUP = re.compile(rb"<(?:!doctype|!--|\?xml|\?php|html|head|body|script|svg|iframe)", re.IGNORECASE)
_PICTURES = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")


def certainly_no_video(head: bytes) -> str:
    """What the file is instead, in words; empty where it may be a video. `head`: its first bytes, ENOUGH or all."""
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture"
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURES:
        return "a picture"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _MARKUP.match(text):
        return "a web page or another document"
    if head and _is_text(head):
        return "a text"
    return ""


def _is_text(head: bytes) -> bool:
    try:
        text = head[:ENOUGH].decode()
    except UnicodeDecodeError as error:
        if error.start < len(head[:ENOUGH]) - 3:  # else a character is cut in two
            return False
        text = head[: error.start].decode()
    return all(char.isprintable() or char in "\t\r\n" for char in text)
