"""Hard files through the real daemon: exactly what a user expects of each, by tests/hardcases.py."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.films import Film
from tests.hardcases import CASES, Case
from tests.media_fixtures import Studio, check_clip
from tests.origin import Origin, Page
from videod.errors import Failure

# how many frames more a copy may have at its end, where decoding order needs them
MORE = 4
# mean difference of a good picture from the one that was encoded, in steps of 255
UNLIKE = 12


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([case for case in CASES if case.quick], id="quick"),
        pytest.param(CASES, id="all", marks=pytest.mark.long),
    ],
)
def test_each_hard_file_ends_as_a_user_expects(daemon: Daemon, r, studio: Studio, cases: list[Case]) -> None:
    films = {case.film: studio.film(case.film) for case in cases}
    with Origin() as origin:
        daemon.start(allow_hosts="* 127.0.0.1", allow_paths=studio.folder, max_worker=2)
        for case in cases:
            url = _url(case, films[case.film], origin)
            for how in ("exact", "keyframe"):
                start, end = case.span
                push(r, {"id": f"{case.name}.{how}", "url": url, "start": start, "end": end, "cut": how,
                         "max_attempts": 1})  # fmt: skip
        rows = [_row(r, case, how, films[case.film]) for case in cases for how in ("exact", "keyframe")]
    table = "\n".join(f"{'ok ' if want == seen else 'BAD'} {name:28} {want:42} {seen}" for name, want, seen in rows)
    print(f"\n    {'file and cut':28} {'expected':42} seen\n{table}")
    assert all(want == seen for _, want, seen in rows), table
    accounted(r, [f"{case.name}.{how}" for case in cases for how in ("exact", "keyframe")])
    assert "Traceback" not in daemon.log
    for folder in (daemon.folder, studio.folder, Path()):
        assert not list(folder.rglob("PWNED"))


def test_codes_of_the_table_are_those_of_the_contract() -> None:
    known = {kind.code for base in Failure.__subclasses__() for kind in base.__subclasses__()}
    used = {case.exact for case in CASES} | {case.keyframe for case in CASES if isinstance(case.keyframe, str)}
    assert used - {"done", "encoded"} <= known
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def _url(case: Case, film: Film, origin: Origin) -> str:
    if not case.served:
        return f"file://{quote(str(film.path))}"
    body = film.path.read_bytes()
    return origin.put(f"/{case.name}.mp4", Page(body, cut_after=int(len(body) * case.served), ranges=False))


def _row(r, case: Case, how: str, film: Film) -> tuple[str, str, str]:
    """(name, what is expected, what is there), the last two alike if all is well."""
    event = final(r, f"{case.name}.{how}", 300)
    outcome = case.exact if how == "exact" else case.keyframe
    first, last, count, cut = _expected(case, how, film)
    if isinstance(outcome, str) and outcome not in ("done", "encoded"):
        want = outcome
    else:
        want = f"done {cut} {first}..{last} ({count})"
    if event["event"] == "dead":
        return (
            f"{case.name} {how}",
            want,
            f"{event['error']['code']}: {event['error']['message']}"[
                : None if want != event["error"]["code"] else len(want)
            ],
        )
    return f"{case.name} {how}", want, _seen(case, how, film, event["outputs"][0])


def _expected(case: Case, how: str, film: Film) -> tuple[int, int, int, str]:
    wanted = [number for _, number in film.expected(*case.span)]
    if how == "keyframe" and isinstance(case.keyframe, int):
        wanted = [n for _, n in _from(film, case)]
        return wanted[0], wanted[-1], len(wanted), "keyframe"
    return (wanted[0], wanted[-1], len(wanted), "encode") if wanted else (0, 0, 0, "")


def _from(film: Film, case: Case) -> list[tuple[Any, int]]:
    """The frames from the key frame on to the last one below end."""
    wanted = film.expected(*case.span)
    keys = [n for n, (time, number) in enumerate(film.frames) if number == case.keyframe and time <= wanted[0][0]]
    return film.frames[keys[-1] : film.frames.index(wanted[-1]) + 1]


def _seen(case: Case, how: str, film: Film, output: dict[str, Any]) -> str:
    path = Path(output["url"].removeprefix("file://"))
    shown = videos.numbers(path)
    wanted = film.expected(*case.span)
    if output["cut"] == "keyframe":
        wanted = _from(film, case)
        # a few more at the end are none too many
        extra = len(shown) - len(wanted)
        if 0 < extra <= MORE:
            at = film.frames.index(wanted[0])
            wanted = film.frames[at : at + len(shown)]
            shown = shown[:-extra]
    made = SimpleNamespace(start=output["start"], end=output["end"], frames=output["frames"])
    # a smart cut has the frames of an encoded one; which files allow one is the matter of test_cut_smart
    text = f"done {output['cut'].replace('smart', 'encode')} {shown[0]}..{shown[-1]} ({len(shown)})"
    try:
        check_clip(film, path, made, wanted)
        _check_streams(case, how, film, path, output)
        if case.alike:
            assert (off := _unlike(path)) <= UNLIKE, f"pictures are {off} off"
    except AssertionError as error:
        return f"{text}: {_why(error)}"
    return text


def _why(error: AssertionError) -> str:
    """Which assertion it was, and the words that stand with it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.line} {' '.join(str(error).split())[:200]}"


def _check_streams(case: Case, how: str, film: Film, path: Path, output: dict[str, Any]) -> None:
    """Sound is there if the source has it, the shape of the picture is kept, players know the codecs."""
    source, made = (videos.ffprobe(p, "-show_streams")["streams"] for p in (film.path, path))
    assert _tracks(made) == _tracks(source), "sound tracks"
    assert len([s for s in made if s["codec_type"] == "video"]) == 1
    picture: Any = next(s for s in made if s["codec_type"] == "video")
    assert abs(_shape(picture) / _shape(next(s for s in source if s["codec_type"] == "video")) - 1) < 0.01, "shape"
    if output["cut"] == "encode":
        assert picture["codec_name"] == "h264"
        assert picture["pix_fmt"] in ("yuv420p", "yuvj420p")
        assert picture["width"] % 2 == picture["height"] % 2 == 0
    if picture["codec_name"] == "hevc":
        assert picture["codec_tag_string"] == "hvc1"
    if how == "keyframe" and output["cut"] == "encode":
        assert output["warning"], "no word that it was encoded"


def _tracks(streams: list[Any]) -> int:
    return len([stream for stream in streams if stream["codec_type"] == "audio"])


def _shape(stream: Any) -> float:
    """Width by height as a player shows it."""
    wide, high = (int(x) for x in stream.get("sample_aspect_ratio", "1:1").split(":"))
    ratio = stream["width"] * (wide or 1) / (stream["height"] * (high or 1))
    turned = any(abs(int(side.get("rotation", 0))) == 90 for side in stream.get("side_data_list", []))
    return 1 / ratio if turned else ratio


def _unlike(path: Path) -> float:
    """How far the worst picture is from the one that it says to be: mean of samples, in steps of 255."""
    size = videos.WIDTH * videos.HEIGHT
    chain = f"scale={videos.WIDTH}:{videos.HEIGHT},format=gray"
    argv = ["-i", f"file:{path}", "-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    raw = videos.ffmpeg(*argv)
    worst = 0.0
    for n, (number, flash) in enumerate(videos._read(raw)):
        have, want = raw[n * size : (n + 1) * size : 97], videos.picture(number, flash)[::97]
        worst = max(worst, sum(abs(a - b) for a, b in zip(have, want, strict=True)) / len(want))
    return worst
