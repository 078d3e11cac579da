"""`videod import` and `report`: rows of a sheet through the real daemon, from an emulated recorder."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import videos
from tests.daemon import Daemon, final, until
from tests.isapi import PASSWORD, Recorder
from tests.psfiles import recording
from videod.sources.logins import _with
from videod.vault import Vault

openpyxl = pytest.importorskip("openpyxl")
DAY = "2026-11-20"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return recording(videos.make_master(tmp_path_factory.mktemp("row") / "m.nut", seconds=1.0), 0, 1.0)


@pytest.fixture
def recorder(film: bytes) -> Iterator[Recorder]:
    with Recorder() as made:
        for hour in range(3):
            made.add(f"{DAY}T0{hour}:00:00", 1, film)
        yield made


def prepare(daemon: Daemon, key: str = KEY, **more: Any) -> Daemon:
    secret = daemon.folder / "secrets.ini"
    secret.write_text(f"[keys]\nimport = {key}\n" if key else "")
    secret.chmod(0o600)
    daemon.start(allow_hosts="* 127.0.0.1", secrets_file=secret, retry_delay=0.1, **more)
    return daemon


def sheet(folder: Path, rows: list[list[object]], name: str = "rows.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in [["server", "user", "password", "cameras", "from", "to", "id"], *rows]:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


def span(hour: int) -> tuple[str, str]:
    return f"{DAY}T0{hour}:00:00", f"{DAY}T0{hour}:00:30"


def call(daemon: Daemon, *argv: str) -> tuple[int, Any]:
    made = daemon.command(*argv, "-e", "prod", "--json")
    assert made.stderr.count("\n") <= 1 and "Traceback" not in made.stderr
    return made.returncode, json.loads(made.stdout)


def everywhere(daemon: Daemon, r) -> str:
    """All that Redis, the log and `ps` hold."""
    held = [str(r.dump(key)) for key in r.scan_iter("*")]
    argv = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return f"{held} {daemon.log} {argv}"


def test_rows_become_recordings(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon)
    rows: list[list[object]] = [[recorder.host, "admin", PASSWORD, 1, *span(hour), f"row-{hour}"] for hour in range(3)]
    path = sheet(daemon.folder, [*rows, [recorder.host, "", "", "none", "", "", "bad"], ["", "a", "b", 1, "", "", ""]])
    code, dry = call(daemon, "import", str(path), "--dry-run")
    assert code == 1 and len(dry["rows"]) == 3 and [bad["number"] for bad in dry["bad"]] == [5, 6]
    assert not r.keys("videod:import*") and not r.hgetall("videod:logins") and PASSWORD not in json.dumps(dry)
    code, said = call(daemon, "import", str(path))
    assert (code, said["queued"], said["known"], len(said["bad"])) == (1, 3, 0, 2)
    assert {final(r, f"row-{hour}", 60)["event"] for hour in range(3)} == {"done"}
    assert PASSWORD not in everywhere(daemon, r)
    # the same file again adds nothing
    code, said = call(daemon, "import", str(path))
    assert (said["queued"], said["known"]) == (0, 3) and r.llen("video_info_queue") == 0
    code, lines = call(daemon, "report", "--batch", said["batch"])
    assert code == 0 and [(line["row"], line["state"]) for line in lines] == [(2, "done"), (3, "done"), (4, "done")]
    assert all(Path(line["files"].split()[0]).exists() for line in lines)
    assert daemon.command("report", str(path), "-e", "prod", "-o", str(daemon.folder / "out.csv")).returncode == 0
    found = list(csv.DictReader((daemon.folder / "out.csv").open(encoding="utf-8-sig")))
    assert [row["state"] for row in found] == ["done"] * 3
    daemon.command("report", str(path), "-e", "prod", "-o", str(daemon.folder / "out.xlsx"))
    assert openpyxl.load_workbook(daemon.folder / "out.xlsx").active["E4"].value == "done"


def test_a_refused_password_is_tried_once_and_a_new_one_runs(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon, max_worker=2)
    rows: list[list[object]] = [[recorder.host, "admin", "wrong", 1, *span(hour), f"w-{hour}"] for hour in range(3)]
    path = sheet(daemon.folder, rows)
    assert call(daemon, "import", str(path))[1]["queued"] == 3
    assert {final(r, f"w-{hour}", 60)["error"]["code"] for hour in range(3)} == {"denied"}
    assert not recorder.locked
    assert call(daemon, "import", str(path))[1]["queued"] == 0
    code, lines = call(daemon, "report", str(path))
    assert code == 1 and all(line["reason"].startswith("denied") for line in lines)
    for row in rows:
        row[2] = PASSWORD
    assert call(daemon, "import", str(sheet(daemon.folder, rows)))[1]["queued"] == 3
    done = until(lambda: {r.hget(f"videod:job:w-{hour}", "state") for hour in range(3)} == {"done"}, 60, "all are done")
    assert done


def test_without_a_key_this_node_keeps_the_passwords(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon, key="")
    path = sheet(daemon.folder, [[recorder.host, "admin", PASSWORD, 1, *span(0), "mine"]])
    made = daemon.command("import", str(path), "-e", "prod")
    assert made.returncode == 0 and "no [keys] import" in made.stderr and PASSWORD not in made.stderr + made.stdout
    done = final(r, "mine", 60)
    assert done["event"] == "done", done
    assert json.loads(r.hget("videod:job:mine", "message"))["node"] == daemon.node
    secret = daemon.folder / "secrets.ini"
    assert f"[recorder {recorder.host}]" in secret.read_text() and os.stat(secret).st_mode & 0o777 == 0o600
    assert PASSWORD not in everywhere(daemon, r)


def test_a_node_without_the_key_says_so(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon)
    path = sheet(daemon.folder, [[recorder.host, "admin", PASSWORD, 1, *span(0), "other"]])
    assert daemon.stop() == 0
    (daemon.folder / "secrets.ini").write_text("")
    r.hset("videod:logins", recorder.host, Vault(KEY).seal("admin", PASSWORD))
    daemon.start()
    r.lpush("video_info_queue", json.dumps({"id": "other", "kind": "recording", "recorder": recorder.host}))
    error = final(r, "other", 60)["error"]
    assert "[keys] import" in error["message"]
    assert path.exists()


def test_the_password_of_another_sheet_ends_no_row_for_good(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon)
    assert daemon.command("pause", "-e", "prod").returncode == 0
    good = sheet(daemon.folder, [[recorder.host, "admin", PASSWORD, 1, *span(n), f"a-{n}"] for n in (0, 2)], "a.xlsx")
    wrong = sheet(daemon.folder, [[recorder.host, "admin", "wrong", 1, *span(1), "b"]], "b.xlsx")
    assert daemon.command("import", str(good), "-e", "prod").stderr == ""
    said = daemon.command("import", str(wrong), "-e", "prod").stderr
    assert f"another login than before: {recorder.host}" in said and said.count("\n") == 1
    daemon.command("resume", "-e", "prod")
    assert {final(r, ident, 60)["error"]["code"] for ident in ("a-0", "a-2", "b")} == {"denied"}
    assert call(daemon, "import", str(wrong))[1]["queued"] == 0
    assert call(daemon, "import", str(good))[1]["queued"] == 2
    for ident in ("a-0", "a-2"):
        until(lambda ident=ident: r.hget(f"videod:job:{ident}", "state") == "done", 60, "its own password is right")
    assert call(daemon, "import", str(good))[1]["queued"] == 0


def test_a_key_that_is_set_later_needs_a_restart(daemon: Daemon, r, recorder: Recorder) -> None:
    prepare(daemon, key="")
    (daemon.folder / "secrets.ini").write_text(f"[keys]\nimport = {KEY}\n")
    made = daemon.command("reload", "prod")
    assert made.returncode == 0 and made.stderr == "videod: needs a restart: [keys] import: videod restart prod\n"
    rows: list[list[object]] = [[recorder.host, "admin", PASSWORD, 1, *span(hour), f"k-{hour}"] for hour in range(3)]
    path = sheet(daemon.folder, rows)
    for more in ([], ["--dry-run"]):
        made = daemon.command("import", str(path), "-e", "prod", *more)
        assert made.returncode == 1 and "no node that serves has this key" in made.stderr, made.stderr
        assert made.stderr.count("\n") == 1 and "videod restart prod" in made.stderr
    assert not r.hgetall("videod:logins") and KEY not in everywhere(daemon, r)
    # another node may have queued them: it is no fault of this machine
    r.hset("videod:logins", recorder.host, Vault(KEY).seal("admin", PASSWORD))
    for n in range(3):
        r.lpush("video_info_queue", json.dumps({"id": f"n-{n}", "kind": "recording", "recorder": recorder.host}))
    texts = [final(r, f"n-{n}", 60)["error"]["message"] for n in range(3)]
    assert all("needs the key that sealed it" in text and "videod restart" in text for text in texts), texts
    assert "pauses itself" not in daemon.log
    assert daemon.command("restart", "prod").returncode == 0
    assert call(daemon, "import", str(path))[1]["queued"] == 3
    assert {final(r, f"k-{hour}", 60)["event"] for hour in range(3)} == {"done"}


def test_a_dry_run_refuses_what_an_import_would(daemon: Daemon, r) -> None:
    daemon.start()
    path = daemon.folder / "a.csv"
    path.write_text("server,user,password\n192.0.2.1,admin,x\n")
    made = daemon.command("import", str(path), "-e", "prod")
    assert made.returncode == 6 and "[keys] import" in made.stderr and made.stderr.count("\n") == 1
    # no password is kept, so its rows are judged all the same
    for row, code in (("", 0), (",admin,x\n", 1)):
        path.write_text(path.read_text() + row)
        made = daemon.command("import", str(path), "-e", "prod", "--dry-run")
        assert made.returncode == code and made.stdout.endswith(f"1 would be queued, {code} wrong\n"), made
        assert "[keys] import" in made.stderr and made.stderr.count("\n") == 1
    secret = daemon.folder / "secrets.ini"
    secret.write_text("")
    secret.chmod(0o600)
    daemon.write(secrets_file=secret)
    path.write_text("server,user,password\n192.0.2.1,admin,${x}\n")
    made = daemon.command("import", str(path), "-e", "prod", "--dry-run")
    assert made.returncode == 6 and "cannot hold the password" in made.stderr
    path.write_text("server\n192.0.2.1\n")
    made = daemon.command("import", str(path), "-e", "prod", "--dry-run")
    assert (made.returncode, made.stderr) == (0, "") and made.stdout.endswith("1 would be queued, 0 wrong\n")


def test_wrong_commands(daemon: Daemon, r) -> None:
    prepare(daemon)
    (daemon.folder / "empty.csv").write_text("")
    (daemon.folder / "notes.txt").write_text("call the museum\n")
    for argv, word in (
        (["import", "none.xlsx"], "cannot be read"),
        (["import", str(daemon.folder / "empty.csv")], "no row"),
        (["import", str(daemon.folder / "notes.txt")], "neither .xlsx nor .csv"),
        (["report"], "name a file"),
        (["report", "--batch", "x"], "no import of this id"),
    ):
        made = daemon.command(*argv, "-e", "prod")
        assert made.returncode in (1, 2) and word in made.stderr and made.stderr.count("\n") == 1, made.stderr
    broken = daemon.folder / "secrets.ini"
    broken.write_text("[keys]\nimport = short\n")
    made = daemon.command("check", "prod")
    assert made.returncode == 6 and "[keys] import" in made.stderr + made.stdout and "short" not in made.stderr
    broken.write_text("")  # to stop the daemon it is read again


def test_the_secrets_file_keeps_what_else_it_says() -> None:
    text = "# mine\n[recorder a]\nuser = x\npassword = y\ntls = yes\n\n[storage s3]\nsecret_key = z\n"
    made = _with(_with(text, "[recorder a]", "u", "p"), "[recorder b:8000]", "v", "q")
    assert made == (
        "# mine\n[recorder a]\nuser = u\npassword = p\ntls = yes\n\n[storage s3]\nsecret_key = z\n"
        "\n[recorder b:8000]\nuser = v\npassword = q\n"
    )


def test_the_vault() -> None:
    vault, other = Vault(KEY), Vault(KEY.replace("M", "N", 1))
    sealed = vault.seal("admin", "pä")
    assert sealed != vault.seal("admin", "pä") and vault.open(sealed) == ("admin", "pä")
    assert other.open(sealed) is None and vault.open(sealed[:-4]) is None and vault.open("") is None
    assert vault.digest("a", "b") != vault.digest("a", "c") and vault.digest("a", "b") != other.digest("a", "b")
