"""The studio: makes each film once a session, examines and cuts it, and checks what came out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests import videos
from tests.films import MAKERS, Film
from tests.hardfiles import MAKERS as HARD
from tests.videos import make_master
from videod.cancel import Cancel
from videod.config.options import options
from videod.config.presets import BUILT_IN_PRESETS, Preset
from videod.limits import Limits
from videod.media.cut import cut
from videod.media.examine import examine
from videod.media.model import Cut, Source
from videod.media.plan import plan
from videod.process import Guardian, Tools

SOUND_OFF = 0.025


@dataclass(frozen=True)
class Bounds:
    """The two settings that videod.media obeys."""

    max_pixels: int = 36_000_000
    max_duration: float = 3600.0


def preset(name: str = "default", **changes: object) -> Preset:
    """A built-in preset, made fast."""
    read = {
        key: option.parse(BUILT_IN_PRESETS[name].get(key, option.default)) for key, option in options(Preset).items()
    }
    return replace(Preset(**read), **{"speed": "ultrafast", **changes})


class Studio:
    """Makes films, examines and cuts them."""

    def __init__(self, folder: Path, guardian: Guardian) -> None:
        self.folder = folder
        self._guardian = guardian
        self._films: dict[str, Film] = {}
        self._outputs = 0

    def tools(self) -> Tools:
        """The tools of one job."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return Tools(self._guardian, Cancel(), scratch, Limits(memory=4 << 30))

    def film(self, name: str) -> Film:
        """A film by the name of its maker below."""
        if name not in self._films:
            self._films[name] = (MAKERS.get(name) or HARD[name])(self)
        return self._films[name]

    def master(self, rate: str = "25", seconds: float = 6.0) -> Path:
        """A lossless master."""
        out = self.folder / f"master-{rate.replace('/', '_')}-{seconds:g}.nut"
        return out if out.exists() else make_master(out, rate, seconds)

    def new(self, name: str) -> Path:
        """A name for a file that does not exist yet."""
        self._outputs += 1
        return self.folder / f"{self._outputs}-{name}"

    def examine(self, path: Path) -> Source:
        """Probe a file."""
        return examine(str(path), self.tools(), Bounds())

    def cut(
        self,
        path: Path,
        start: float | None,
        end: float | None,
        how: str = "exact",
        using: Preset | None = None,
        source: Source | None = None,
    ) -> tuple[Path, Cut]:
        """Cut a file as videod does; the output and what is said of it."""
        using = using or preset()
        source = source or self.examine(path)
        wanted = plan(source.media, source.frames, start, end, how, using.container)
        out = self.new(f"out.{using.container}")
        return out, cut(source, wanted, out, using, self.tools(), Bounds())


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    folder = Path(tempfile.mkdtemp(prefix="videod-films-"))
    guardian = Guardian("test-media")
    yield Studio(folder, guardian)
    guardian.close()
    shutil.rmtree(folder)


def check_clip(film: Film, out: Path, made: Cut, wanted: list[tuple[Fraction, int]]) -> None:
    """Assert that a clip shows exactly these frames, each at its time, with the beeps where they belong."""
    seen = videos.look(out)
    assert seen.numbers == [number for _, number in wanted]
    first = wanted[0][0]
    for (time, _, _), (truth, _) in zip(seen.pictures, wanted, strict=True):
        assert abs(time - float(truth - first)) <= 0.0011
    assert made.frames == len(wanted)
    assert abs(made.start - float(first)) <= 0.0011
    for track in seen.beeps if film.beeps is not None else []:
        check_beeps(track, [beep - float(first) for beep in film.beeps], made.end - made.start)


def check_beeps(heard: list[float], truth: list[float], length: float) -> None:
    """Assert that each beep well inside is heard at its time, and nothing else is."""
    # a beep lasts 40 ms: one that the start cuts in half is heard at once
    inside = [beep for beep in truth if 0 <= beep < length - 0.08]
    for beep in inside:
        assert any(abs(beep - time) <= SOUND_OFF for time in heard), (heard, truth)
    for time in heard:
        assert any(abs(max(beep, 0) - time) <= SOUND_OFF for beep in truth if beep > -0.07), (heard, truth)
