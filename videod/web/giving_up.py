"""An upload that is given up: by its user, by what is in it, or since nobody goes on with it."""

from __future__ import annotations

from contextlib import suppress

from videod.errors import RedisAway
from videod.web.site import Site
from videod.web.uploads import Upload


def give_up(site: Site, upload: Upload) -> None:
    """Take it away. Trouble (423) while somebody writes to it, (404) where it is gone."""
    with site.store.part(upload):
        given_up(site, upload)


def given_up(site: Site, upload: Upload) -> None:
    """The same where its lock is ours. What was announced and never came counts no more: once, whoever does it."""
    got = site.store.offset(upload)
    site.store.remove(upload.token)
    if 0 <= got < upload.length:
        with suppress(RedisAway):  # it counts for the rest of the day
            site.pages.give_back(upload.owner, upload.length - got, upload.made)
