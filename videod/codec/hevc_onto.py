"""Whether an encoded edge can stand beside copied samples of HEVC, and the parameter sets it then has.

Unlike one of H.264 an edge keeps an SPS of its own, which a decoder activates at the edge's IRAP picture. It is made of
the source's - profile, level, format, crop, colour, reordering - but for the coding tools, which are those of the
edge: so no decoder sets up anything anew at a seam.

All sets have ids of their own. Under the ids of the source the sets of hvcC would be taken for those of each part by
who puts them before IRAP pictures, behind those that stand there: what ffmpeg does on the way into MPEG-TS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.hevc import Hevc, HevcFacts, hevc_type
from videod.codec.hevc_layout import HevcLayout, Ordering, read_layout
from videod.codec.hevc_sets import MOST_PPS_ID, MOST_SPS_ID, PPS_IDS, renamed, write_pps, write_sps, write_vps
from videod.codec.onto import Misfit
from videod.codec.records import HevcArray, HevcConfig

_PROFILES = {1: "main", 2: "main10"}
# they are repeated at each IRAP picture
_MOST_SETS = 1 << 14
# what x265 wants to reorder and to keep: with a pyramid of B-frames, with B-frames, without
_WAYS = ((Ordering(4, 2), 3, 1), (Ordering(3, 1), 3, 0), (Ordering(0, 0), 0, 0))
_REFS = 2
_SET_IDS = range(MOST_SPS_ID + 1)
_MOST_DECODED = 15
_HEADER = 2


@dataclass(frozen=True)
class Edge:
    """What x265 may use in an edge.

    `profile`: main or main10; `pix_fmt`: ffmpeg's name of the samples; `width`, `height` of the coded picture, and what
    the conformance window leaves out of it, as ffmpeg's fillborders wants it.
    """

    profile: str
    pix_fmt: str
    bframes: int
    pyramid: int
    width: int
    height: int
    borders: tuple[int, int, int, int]

    def argv(self, threads: int) -> list[str]:
        """Arguments for ffmpeg: an edge is one IDR picture and what follows from it."""
        params = {
            "log-level": "error",
            "info": 0,
            "keyint": -1,
            "scenecut": 0,
            "open-gop": 0,
            "repeat-headers": 0,
            "ref": _REFS,
            "bframes": self.bframes,
            "b-pyramid": self.pyramid,
            # the coded size is a multiple of it, and must be the source's
            "min-cu-size": 8,
            # each frame encoded at once is one more in memory, and an edge has few
            "frame-threads": 1,
        }
        params |= {"pools": threads} if threads else {}
        told = ":".join(f"{name}={value}" for name, value in params.items())
        return ["-profile:v", self.profile, "-pix_fmt", self.pix_fmt, "-x265-params", told]

    @property
    def chain(self) -> str:
        """Filters that lay the shown picture into the coded one; empty if they are the same."""
        left, right, top, bottom = self.borders
        if not any(self.borders):
            return ""
        pad = f"pad={self.width}:{self.height}:{left}:{top}"
        return f"{pad},fillborders={left}:{right}:{top}:{bottom}:smear"


@dataclass(frozen=True)
class Moved:
    """An edge: its VPS, SPS and PPS, and its samples, the NAL units of which have lengths as before."""

    sets: tuple[bytes, ...]
    samples: tuple[bytes, ...]


@dataclass(frozen=True)
class HevcSource:
    """The configuration of a source of which samples are copied, and its SPS."""

    config: HevcConfig
    layout: HevcLayout

    @classmethod
    def read(cls, config: HevcConfig) -> HevcSource:
        """Raises Misfit where no edge can stand beside its samples."""
        found = [nal for nal in config.sets if hevc_type(nal) == Hevc.SPS]
        layers = sum(hevc_type(nal) == Hevc.VPS for nal in config.sets)
        if len(found) != 1 or layers != 1:
            raise Misfit(f"{layers} VPS and {len(found)} SPS in hvcC")
        try:
            made = cls(config, read_layout(found[0]))
        except BadBitstream as error:
            raise Misfit(f"unreadable parameter sets: {error}") from None
        if reason := made._why_not():
            raise Misfit(reason)
        return made

    @property
    def sets(self) -> tuple[bytes, ...]:
        """VPS, SPS, PPS, in this order."""
        return tuple(sorted(self.config.sets, key=hevc_type))

    def _why_not(self) -> str:
        sps, vui = self.layout.sps, self.layout.vui
        depth = sps.bit_depth_luma
        reasons = {
            f"profile {sps.profile_idc}": sps.profile_space != 0 or sps.profile_idc not in _PROFILES,
            f"chroma format {sps.chroma_format_idc} of {depth} bits": sps.chroma_format_idc != 1
            or depth != sps.bit_depth_chroma
            or depth not in {8, 10}
            or (depth == 10 and sps.profile_idc == 1),
            "pictures in fields": sps.interlaced or bool(vui and vui.field_seq),
            "an odd coded size": bool(sps.coded_width % 8 or sps.coded_height % 8),
            "parameter sets too large": sum(map(len, self.config.sets)) > _MOST_SETS,
        }
        return next((reason for reason, applies in reasons.items() if applies), "")

    def picture_why_not(self, facts: HevcFacts) -> str:
        """Why a source with such a picture among those copied must not get edges; empty if it may."""
        reasons = {
            "further layers": facts.layered,
            "metadata of Dolby Vision": facts.unspecified,
            "other parameter sets in the samples": any(nal not in self.config.sets for nal in facts.sets),
        }
        return next((reason for reason, applies in reasons.items() if applies), "")

    def edge(self) -> Edge:
        """How an edge must be encoded."""
        sps, vui, own = self.layout.sps, self.layout.vui, self.layout.ordering
        deep = sps.bit_depth_luma > 8
        full = vui is not None and vui.full_range
        fits = [way for way in _WAYS if way[0].buffering <= own.buffering and way[0].reorder <= own.reorder]
        _, bframes, pyramid = (fits or _WAYS[-1:])[0]
        right = sps.coded_width - sps.left - sps.width
        bottom = sps.coded_height - sps.top - sps.height
        return Edge(
            _PROFILES[2 if deep else 1],
            "yuv420p10le" if deep else "yuvj420p" if full else "yuv420p",
            bframes,
            pyramid,
            sps.coded_width,
            sps.coded_height,
            (sps.left, right, sps.top, bottom),
        )

    def moved(self, edge: HevcConfig, samples: Sequence[bytes], number: int) -> Moved:
        """An edge beside the source, the `number`th of its output, from 0. Raises Misfit, BadBitstream."""
        sps, pps = ([nal for nal in edge.sets if hevc_type(nal) == kind] for kind in (Hevc.SPS, Hevc.PPS))
        if len(sps) != 1 or len(pps) != 1:
            raise Misfit(f"an edge with {len(sps)} SPS and {len(pps)} PPS")
        own, old = read_layout(sps[0]), self.layout
        same = "coded_width", "coded_height", "chroma_format_idc", "bit_depth_luma", "bit_depth_chroma"
        differs = any(getattr(own.sps, name) != getattr(old.sps, name) for name in same)
        if differs or own.sps.profile_idc not in _PROFILES:
            raise Misfit("an edge of another format")
        ordering = Ordering(*map(max, own.ordering, old.ordering))
        if ordering.buffering > _MOST_DECODED or ordering.reorder > ordering.buffering:
            raise Misfit(f"{ordering.reorder} of {ordering.buffering} pictures are reordered")
        taken = [BitReader(unescape(nal[2:])).ue(MOST_PPS_ID, "PPS id") for nal in self._of(Hevc.PPS)]
        vps_id = _free(_SET_IDS, [old.sps.vps_id, *(nal[2] >> 4 for nal in self._of(Hevc.VPS))], number)
        sps_id, pps_id = _free(_SET_IDS, [old.sps.id], number), _free(PPS_IDS, taken, number)
        sets = (
            write_vps(vps_id, old, ordering),
            write_sps((vps_id, sps_id), own, old, ordering),
            write_pps(pps[0], pps_id, sps_id),
        )
        return Moved(sets, tuple(renamed(sample, edge.length_size, pps_id) for sample in samples))

    def _of(self, kind: Hevc) -> list[bytes]:
        found = [nal for nal in self.config.sets if hevc_type(nal) == kind]
        if any(len(nal) <= _HEADER for nal in found):
            raise BadBitstream("an empty parameter set")
        return found

    def record(self, sets: Iterable[bytes] = ()) -> bytes:
        """The body of hvcC: the source's, with other sets in it where the output begins with an edge."""
        found = tuple(sets)
        arrays = self.config.incomplete().arrays
        if found:
            kinds = Hevc.VPS, Hevc.SPS, Hevc.PPS
            own = (HevcArray(kind, False, tuple(n for n in found if hevc_type(n) == kind)) for kind in kinds)
            arrays = (*own, *(array for array in arrays if array.nal_type not in kinds))
        # min_spatial_segmentation_idc, parallelismType: nothing is promised of all parts
        head = self.config.head[:13] + b"\xf0\x00\xfc" + self.config.head[16:]
        return HevcConfig(head, arrays).write()


def _free(ids: Iterable[int], taken: Collection[int], number: int) -> int:
    """The `number`th of the ids that are not taken."""
    free = [one for one in ids if one not in taken]
    if number >= len(free):
        raise Misfit("no free id for a parameter set")
    return free[number]
