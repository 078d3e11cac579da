"""The ini: what it may hold, where defaults come from, secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videod.config import Config, load
from videod.config.options import options
from videod.config.redis_url import parse
from videod.config.settings import Settings
from videod.errors import ConfigError, UsageError
from videod.logs import one_line
from videod.reload import changed, live_names, merged


def read(tmp_path: Path, text: str, env: str = "prod") -> Settings:
    (tmp_path / "v.ini").write_text(text)
    return load(str(tmp_path / "v.ini")).settings(env)


def test_every_key_has_a_default(tmp_path: Path) -> None:
    made = read(tmp_path, "")
    assert (made.redis, made.max_worker, made.keep_jobs) == ("redis://localhost:6379/0", 4, 7 * 86400)
    assert made.node.endswith("-prod")
    assert made.upload == f"file:{made.state_dir}/clips/"
    assert made.upload_paths == (f"{made.state_dir}/clips", f"{made.state_dir}/web/results")
    assert made.allow_paths == (f"{made.state_dir}/web/uploads",)
    assert read(tmp_path, "", "local").redis == "embedded"


def test_default_is_shared_and_a_section_wins(tmp_path: Path) -> None:
    text = "[DEFAULT]\nmax_worker = 2\nqueue = a\n[prod]\nqueue = b\n[dev]\nqueue = c\n"
    assert (read(tmp_path, text).queue, read(tmp_path, text).max_worker) == ("b", 2)
    assert read(tmp_path, text, "dev").queue == "c"
    assert read(tmp_path, text, "local").queue == "a"
    with pytest.raises(UsageError):
        read(tmp_path, text, "staging")


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("min_free = 500M", "min_free", 500 << 20),
        ("max_source_bytes = 10g", "max_source_bytes", 10 << 30),
        ("max_pixels = 36M", "max_pixels", 36_000_000),
        ("timeout = 15m", "timeout", 900),
        ("keep_jobs = 7d", "keep_jobs", 604800),
        ("lease = 0.5", "lease", 0.5),
        ("fsync = no", "fsync", False),
        ("fsync =", "fsync", None),
        ("allow_hosts = a.org, *.b.org 10.0.0.0/8:443", "allow_hosts", ("a.org", "*.b.org", "10.0.0.0/8:443")),
        ("state_dir = /s\nallow_paths = /a b, /c\n /d", "allow_paths", ("/a b", "/c", "/d", "/s/web/uploads")),
        ("state_dir = /s\nallow_paths = /a /b,/c d", "allow_paths", ("/a", "/b", "/c d", "/s/web/uploads")),
    ],
)
def test_values(tmp_path: Path, text: str, name: str, wanted: object) -> None:
    assert getattr(read(tmp_path, f"[DEFAULT]\n{text}\n"), name) == wanted


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOD_TEST_PASSWORD", "pw")
    (tmp_path / "secret").write_text("from file\n")
    text = f"[prod]\nredis = redis://:${{VIDEOD_TEST_PASSWORD}}@h/0\ncallback_secret = ${{file:{tmp_path}/secret}}\n"
    made = read(tmp_path, text)
    assert (made.redis, made.callback_secret) == ("redis://:pw@h/0", "from file")
    assert "from file" in made.secret_values


@pytest.mark.parametrize(
    ("address", "url", "sentinels"),
    [
        ("redis://h", "redis://h/0", ()),
        ("redis://:p%40@h:1/3", "redis://:p%40@h:1/3", ()),
        ("unix:///run/redis.sock", "unix:///run/redis.sock", ()),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=False", ()),
        ("rediss://h", "rediss://h/0?ssl_check_hostname=True", ()),
        ("redis+sentinel://a/m", "redis://master/0", (("a", 26379),)),
        ("redis+sentinel://u:p@a:1,[::1]:2/m/3", "redis://u:p@master/3", (("a", 1), ("::1", 2))),
        ("redis+sentinel://a/m?tls=yes", "rediss://master/0?ssl_check_hostname=True", (("a", 26379),)),
    ],
)
def test_addresses_of_redis(address: str, url: str, sentinels: tuple) -> None:
    found = parse(address)
    assert (found.url, found.sentinels, found.service) == (url, sentinels, "m" if sentinels else "")
    assert "p%40" not in repr(found) and "u:p" not in repr(found)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://h", "must be redis://"),
        ("redis:///0", "must be redis://"),
        ("redis://:s3cret@h:port/0", "must be redis://"),
        ("redis://:s3cret@h/films", "number of a database"),
        ("redis://h/0?socket_timeout=1&password=s3cret", "without options of redis:// but db"),
        ("redis+sentinel://:s3cret@a", "/SERVICE"),
        ("redis+sentinel://:s3cret@a,,b/m", "/SERVICE"),
        ("redis+sentinel://a:99999/m", "/SERVICE"),
        ("redis+sentinel://a/m?tls=perhaps", "tls=yes or tls=no"),
        ("rediss://h/0?ssl_cert_reqs=s3cret", "required, optional or none"),
    ],
)
def test_an_address_of_redis_that_is_none_is_one_line(tmp_path: Path, address: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"[prod]\nredis = {address}\n")
    assert words in str(error.value) and "s3cret" not in str(error.value) and "\n" not in str(error.value)


def test_presets_are_built_in_and_may_be_changed(tmp_path: Path) -> None:
    made = read(tmp_path, "[preset html5]\nquality = 30\n[preset small]\nmax_height = 240\n")
    assert set(made.presets) == {"default", "html5", "classic", "hls", "small"}
    assert (made.presets["html5"].quality, made.presets["html5"].max_height) == (30, 1080)
    assert made.presets["small"].max_height == 240


def test_the_secrets_file_must_be_private(tmp_path: Path) -> None:
    secret = tmp_path / "secrets.ini"
    secret.write_text("[storage s3]\nsecret_key = hidden\n[source a.org]\npassword = pw\n")
    text = f"[DEFAULT]\nsecrets_file = {secret}\n[storage s3]\nregion = eu-west-1\n"
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read(tmp_path, text)
    secret.chmod(0o600)
    made = read(tmp_path, text)
    assert (made.storage["s3"].secret_key, made.storage["s3"].region) == ("hidden", "eu-west-1")
    assert made.sources["a.org"].password == "pw"
    assert {"hidden", "pw"} <= set(made.secret_values)


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("source h", "header = n0colon s3cret", "headers as `Name: value`, one a line: header 1 is none"),
        ("source h", "header = A: b\n  bad name: s3cret", "headers as `Name: value`, one a line: header 2 is none"),
        ("source h", "ca_file = /nope.pem", "a file of certificates: /nope.pem: No such file or directory"),
        ("recorder h", "ca_file = /etc/passwd", "a file of certificates: /etc/passwd: holds no certificates in PEM"),
        ("storage s3", "endpoint = s3.example.org", "the address of a server, as https://s3.example.org:9000"),
        ("storage s3", "endpoint = ftp://h", "the address of a server, as https://s3.example.org:9000"),
        ("web", "secret = s3cret", "32 characters or more: head -c32 /dev/urandom | base64"),
    ],
)
def test_what_only_a_job_would_find_out_is_found_at_once(tmp_path: Path, section: str, line: str, said: str) -> None:
    file = tmp_path / "videod.ini"
    file.write_text(f"[prod]\n[{section}]\n{line}\n")
    with pytest.raises(ConfigError) as error:
        load(str(file)).settings("prod")
    assert str(error.value) == f"[{section}] {line.partition(' ')[0]}: {file}: must be {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[storage ftp]", "[storage ftp]: {}: what stands behind storage must be one of s3, gs, az, rclone"),
        (
            "[preset ]",
            "[preset ]: {}: what stands behind preset must be a name of letters, digits, . _ and -, up to 64",
        ),
        ("[source x y]", "[source x y]: {}: what stands behind source must be names, *.example.org"),
        ("batch_reply_prefix = videod:x", "[prod] batch_reply_prefix: {}: must not begin with videod:, which"),
    ],
)
def test_sections_that_would_mean_nothing_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "videod.ini"
    file.write_text(f"[prod]\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load(str(file)).settings("prod")
    assert str(error.value).startswith(said.format(file))


def test_a_comment_within_a_value_ends_it_not(tmp_path: Path) -> None:
    file = tmp_path / "videod.ini"
    file.write_text("[prod]\n[source h]\nheader = A: 1\n  # B: 2\n\t; C: 3\n  D: 4\n[preset x]\nno\n")
    with pytest.raises(ConfigError, match=r"\[line *8\]"):
        load(str(file))
    file.write_text(file.read_text().replace("no\n", ""))
    assert load(str(file)).settings("prod").sources["h"].header == ("A: 1", "D: 4")


def test_an_unreadable_ini_is_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.ini", "create it"), (tmp_path, "directory")):
        with pytest.raises(ConfigError, match=words):
            load(str(path))
    (tmp_path / "latin.ini").write_bytes(b"[DEFAULT]\nqueue = \xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(tmp_path / "latin.ini"))
    if os.geteuid() != 0:
        (tmp_path / "latin.ini").chmod(0)
        with pytest.raises(ConfigError, match="Permission denied"):
            load(str(tmp_path / "latin.ini"))


def test_a_long_state_dir_is_refused_where_a_socket_lies_below(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be shorter"):
        read(tmp_path, f"[local]\nstate_dir = /{'x' * 100}\n", "local")


def test_a_reload_takes_up_what_is_declared_live(tmp_path: Path) -> None:
    old = read(tmp_path, "[prod]\nmax_worker = 1\nqueue = a\n")
    new = read(tmp_path, "[prod]\nmax_worker = 2\nqueue = b\n[preset x]\nquality = 9\n")
    both = merged(old, new)
    assert (both.max_worker, both.queue, "x" in both.presets) == (2, "a", True)
    assert set(changed(old, new)) == {"max_worker", "queue", "presets"}
    assert {name for name in live_names() if name in options(Settings)} < set(options(Settings))


def test_every_option_has_prose() -> None:
    for name, option in options(Settings).items():
        assert len(option.doc) > 5 and "\n" not in option.doc, name


def test_a_log_line_stays_one_line() -> None:
    assert one_line("a\nb\x1b[31m\x00\ud800\u2603") == "a | b\\x1b[31m\\x00\\ud800\u2603"


def test_config_knows_no_global_state() -> None:
    first, second = Config("a", {"DEFAULT": {"queue": "x"}}), Config("b", {"DEFAULT": {}})
    assert first.settings("prod").queue == "x"
    assert second.settings("prod").queue == "video_info_queue"
