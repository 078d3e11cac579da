"""Spreadsheets: what people make of them, and what somebody hostile does."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videod.errors import UsageError
from videod.sources import sheet
from videod.sources.rows import Bad, Row, read

openpyxl = pytest.importorskip("openpyxl")
DAY = date(2026, 11, 20)


def book(path: Path, rows: list[list[object]], formats: dict[str, str] | None = None) -> Path:
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    for place, shape in (formats or {}).items():
        made.active[place].number_format = shape
    made.save(path)
    return path


def of(path: Path) -> tuple[list[Row], list[Bad]]:
    return read(sheet.rows(path), DAY)


def table(tmp_path: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_by_their_names_in_any_order(tmp_path: Path) -> None:
    head = ["Cameras", " LOGIN ", "Password", "Host", "Start", "End", "colour", "upload", "ID"]
    row = ["101,201", "admin", "0123", "nvr:8080", datetime(2026, 11, 20, 8), "2026-11-20", "", "file:/x/", "r-1"]
    rows, bad = of(book(tmp_path / "a.xlsx", [head, row]))
    assert not bad
    assert rows[0].message == {
        "id": "r-1", "kind": "recording", "recorder": "nvr:8080", "channels": "101,201",
        "from": "2026-11-20T08:00:00", "to": "2026-11-20T23:59:59", "upload": "file:/x/",
    }  # fmt: skip
    assert (rows[0].user, rows[0].password, rows[0].number) == ("admin", "0123", 2)


def test_a_column_that_nobody_knows_is_named(tmp_path: Path) -> None:
    for head, said in (("kamera", "kamera: did you mean camera"), ("colour", "colour: known are server, user")):
        with pytest.raises(UsageError, match=said):
            of(table(tmp_path, f"server;user;password;{head}\nh;a;b;1\n"))
        assert of(table(tmp_path, f"server;user;password;{head}\nh;a;b;\nh;a;b\n"))[0]
    with pytest.raises(UsageError, match="number 3"):
        of(table(tmp_path, "server,user,,password\nh,a,1,b\n"))


def test_without_a_header_the_usual_order(tmp_path: Path) -> None:
    rows, bad = of(table(tmp_path, "admin;0123;192.0.2.7;1,2\nadmin;0123;192.0.2.8;all\n"))
    assert not bad and [row.recorder for row in rows] == ["192.0.2.7", "192.0.2.8"]
    assert rows[0].message["channels"] == "1,2" and rows[0].password == "0123" and "from" not in rows[0].message


def test_values_stay_as_they_are_shown(tmp_path: Path) -> None:
    rows = [
        ["user", "password", "server", "cameras"],
        ["a", 123, "h", 101],
        ["a", 123.0, "i", 101.0],
        ["a", 7, "j", 101201],
    ]
    path = book(tmp_path / "a.xlsx", rows, {"B4": "0000", "D4": "#,##0"})
    made, bad = of(path)
    assert not bad
    assert [row.password for row in made] == ["123", "123", "0007"]
    assert [row.message["channels"] for row in made] == ["101", "101", "101,201"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_programs_write_it(tmp_path: Path, encoding: str, separator: str) -> None:
    text = 'server,user,password,cameras\r\n\r\nnvr,jürgen,"p""ä",1\r\n'.replace(",", separator)
    rows, bad = of(table(tmp_path, text, encoding=encoding))
    assert not bad and (rows[0].user, rows[0].password, rows[0].number) == ("jürgen", 'p"ä', 3)


def test_bad_rows_say_what_is_wrong(tmp_path: Path) -> None:
    text = "server,user,password,cameras,from\n,a,b,1,\nh/x,a,b,1,\nh,a,,1,\n"
    text += "h,a,b,1,soon\nh,a,b,1,\nh,a,b,1,\nh,a,s3cret,2,\n"
    rows, bad = of(table(tmp_path, text))
    assert [row.number for row in rows] == [6]
    assert [(one.number, one.reason.split()[0]) for one in bad] == [
        (2, "server"), (3, "server"), (4, "user"), (5, "from"), (7, "is"), (8, "has")
    ]  # fmt: skip
    assert "s3cret" not in f"{bad} {rows}"


def test_the_same_row_has_the_same_id(tmp_path: Path) -> None:
    first = of(table(tmp_path, "server,user,password\nh,a,b\n"))[0][0]
    turned = of(table(tmp_path, "password,server,user\nnew,h,a\n"))[0][0]
    assert first.id == turned.id and first.id.startswith("import-")
    other = of(table(tmp_path, "server,user,password,cameras\nh,a,b,2\n"))[0][0]
    assert other.id != first.id
    # today is another day tomorrow, a day that is named is not
    path = table(tmp_path, "server,from\nh,2026-11-01\ni,\n")
    now, then = (read(sheet.rows(path), day)[0] for day in (DAY, date(2026, 11, 21)))
    assert now[0].id == then[0].id and now[1].id != then[1].id


def test_a_header_must_make_sense(tmp_path: Path) -> None:
    for text, word in (("user,password\na,b\n", "server"), ("server,host\na,b\n", "two columns"), ("\n\n", "no row")):
        with pytest.raises(UsageError, match=word):
            of(table(tmp_path, text))


def test_hostile_files(tmp_path: Path) -> None:
    (tmp_path / "not.xlsx").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        with packed.open("xl/worksheets/sheet1.xml", "w") as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
    laughs = io.BytesIO()
    good = book(tmp_path / "good.xlsx", [["server"], ["h"]])
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(laughs, "w") as packed:
        for name in source.namelist():
            data = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                entity = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100 + b'"><!ENTITY b "' + b"&a;" * 100 + b'">]>'
                data = entity + data.partition(b"?>")[2].replace(b"<v>", b"<v>&b;", 1)
            packed.writestr(name, data)
    (tmp_path / "laughs.xlsx").write_bytes(laughs.getvalue())
    (tmp_path / "binary.csv").write_bytes(b"\0\1\2" * 100)
    (tmp_path / "long.csv").write_text("server\n" + "h\n" * (sheet.MOST_ROWS + 1))
    (tmp_path / "wide.csv").write_text("server,user\n" + "x" * 200_000 + "\n")
    for name in ("not.xlsx", "bomb.xlsx", "laughs.xlsx", "binary.csv", "long.csv", "wide.csv", "none.csv"):
        with pytest.raises(UsageError):
            of(tmp_path / name)


@given(st.binary(max_size=2000))
def test_any_csv_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        rows, bad = of(path)
    except UsageError:
        return
    assert all(row.recorder for row in rows) and all(one.reason for one in bad)
