"""No secret of a message or an address is shown, however it is spelled."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.daemon import Daemon, events, push, until
from videod.redact import hide, hide_message

TEXTS = {
    "‘http://h/x?a='SECRET’: Bad port": "‘http://h/x?***’: Bad port",
    "http://h/x?a='SECRET": "http://h/x?***",
    "http://u:S'ECR\"ET@h/x": "http://h/x",
    "no: 'https:/u:SECRET@h/x?SECRET' it is": "no: 'https:/h/x?*** it is",
    "https:u:SECRET@h/x?SECRET": "https:h/x?***",
    "https:\\\\u:SECRET@h/x": "https:h/x",
    "http://u:SEC/RET@h/x": "http://***/h/x",
    "http://u:SEC?RET@h/x": "http://***?***",
    "http://p/http://u:SECRET@h/x?SECRET": "http://p/http://h/x?***",
    "https://h/@user/x": "https://h/@user/x",
    "file:///srv/a:b/c@d": "file:///srv/a:b/c@d",
    "file:/srv/a:b/c": "file:/srv/a:b/c",
    "taken from queue@video1": "taken from queue@video1",
    "reply:talk@h": "reply:talk@h",
    "http://[::1]:80/x": "http://[::1]:80/x",
}

MESSAGES = {
    r'{"url":"http:\/\/user:SECRET@host\/x?sig=SECRET"}': {"url": "http://host/x?***"},
    r'{"url":"http://h/x\u003fSECRET"}': {"url": "http://h/x?***"},
    '{"url":"http://u:S SECRET@h/x?a=b \\"SECRET"}': {"url": "http://h/x?***"},
    '{"http://u:SECRET@h/":[{"cookie":"SECRET"}]}': {"http://h/": [{"cookie": "***"}]},
    '"http:\\/\\/u:SECRET@h/x"': "http://h/x",
    r'{"url":"http:\/\/user:SECRET@host\/x?sig=SECRET"': None,
    '{"url":"http://u:S SECRET@h/x?a b=SECRET': None,
    'http://u:S SECRET@h/x?a b="SECRET': None,
    r'{"id":1,"id":"a","u":"http:\/\u002fu:SECRET@h\/x?s\u0069g=SECRET",}': None,
}


@pytest.mark.parametrize(("text", "left"), TEXTS.items())
def test_text(text: str, left: str) -> None:
    assert hide(text) == left


@pytest.mark.parametrize(("text", "left"), MESSAGES.items())
def test_message(text: str, left: object) -> None:
    shown = hide_message(text)
    assert "SECRET" not in shown
    assert left is None or json.loads(shown) == left


@given(st.text(alphabet='htp:/\\?#@"u003f {}[],', max_size=60))
def test_any_text_is_shown(text: str) -> None:
    assert isinstance(hide_message(text), str) and isinstance(hide(text), str)


def test_nothing_takes_long() -> None:
    for part in (":/", "://a@", '"', '\\"', "http:", "[", '{"a":', "a@", "\\u003f", ":/ ", "@:/"):
        hide_message(part * ((1 << 17) // len(part)))
        hide(part * ((1 << 17) // len(part)))


def test_nobody_is_shown_one(daemon: Daemon, r) -> None:
    """While it waits, when it is dead, and in what is told of it."""
    daemon.start()
    assert daemon.command("pause").returncode == 0
    slip = r'{"id":"slip","url":"http://h/x","upload":"https:/u:SECRET@h/x?SECRET"}'
    push(r, r'{"id":"php","kind":"nope","url":"http:\/\/user:SECRET@host\/x?sig=a SECRET"}', slip)
    shown = [daemon.command("list"), daemon.command("show", "php"), daemon.command("show", "php", "--json")]
    assert daemon.command("resume").returncode == 0
    until(lambda: r.llen("videod:dead") == 2, 10, "they are dead")
    for verb in (["dead"], ["dead", "--json"], ["show", "php"], ["show", "slip"], ["list"], ["list", "--json"]):
        shown.append(daemon.command(*verb))
    assert all(done.returncode == 0 and done.stdout for done in shown)
    told = json.dumps(events(r)) + daemon.log + "".join(done.stdout + done.stderr for done in shown)
    told += "".join(r.hget(f"videod:job:{ident}", "error") for ident in ("php", "slip"))
    assert "SECRET" not in told
