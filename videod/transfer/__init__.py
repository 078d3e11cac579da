"""Bytes in and bytes out: the guard, fetching and uploading."""
