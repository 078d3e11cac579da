"""Whether an encoded edge can stand under the SPS of its source, and how it must be encoded for that.

A clip's head and tail are encoded anew, its middle is copied. Decoders other than libavcodec break on a second SPS,
so that the edges are moved onto the source's (`move.py`). What an SPS decides for the slices' data must then be
the same in both: sample format, macroblocks a row, transform, direct prediction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from videod.codec.avc import SliceFacts
from videod.codec.bits import BadBitstream
from videod.codec.pps import MOST_PPS_ID
from videod.codec.records import AvcConfig
from videod.codec.sets import ParameterSets
from videod.codec.sps import HIGH_PROFILES, Samples, Sps

_BASELINE, _MAIN = 66, 77
# High, High 10, High 4:2:2, High 4:4:4: of the latter three what is 8 bits and 4:2:0, and so in all else High
_PROFILES = frozenset({_BASELINE, _MAIN, 100, 110, 122, 244})
_PLAIN = Samples()
_LEVELS = frozenset({10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62})
_MOST_B = 3


class Misfit(ValueError):
    """An edge that cannot be moved onto its source's SPS; the text says why."""


@dataclass(frozen=True)
class Edge:
    """What x264 may use in an edge.

    `profile`: baseline, main or high; `level`: as x264 takes it, empty if it knows none such; `refs`: the most
    reference frames; `bframes`: the most B-frames in a row; `fake_interlaced`: frames under an SPS that allows
    fields; `full_range`: samples from 0 to 255; `width`, `height`: of the pictures, in luma samples.
    """

    profile: str
    level: str
    refs: int
    bframes: int
    fake_interlaced: bool
    full_range: bool
    width: int
    height: int

    def params(self, refs: int = 3, bframes: int = 0) -> dict[str, str]:
        """The options for `-x264-params`: an edge is one IDR picture and what follows from it.

        `refs`, `bframes`: so many if the source's SPS allows that. Each is more work and fewer bytes.
        """
        bframes = min(bframes, self.bframes)
        found = {
            "keyint": "infinite",
            "scenecut": "0",
            "open-gop": "0",
            "intra-refresh": "0",
            "cqm": "flat",
            # B-frames count as references of their own, and two is the least with them
            "ref": str(max(1, min(refs, self.refs))),
            "bframes": str(bframes),
            "b-pyramid": "none",
        }
        found |= {"level": self.level} if self.level else {}
        return found | ({"fake-interlaced": "1"} if self.fake_interlaced else {})

    def argv(self, refs: int = 3, bframes: int = 0) -> list[str]:
        """The same as arguments for ffmpeg, with the profile."""
        params = ":".join(f"{name}={value}" for name, value in self.params(refs, bframes).items())
        # the source's SPS says how samples are meant: under yuv420p ffmpeg would squeeze those of full range
        samples = "yuvj420p" if self.full_range else "yuv420p"
        return ["-profile:v", self.profile, "-pix_fmt", samples, "-x264-params", params]


def why_not(source: AvcConfig) -> str:
    """Why no edge can be moved onto this source's SPS; empty if one can."""
    if len(source.sps) != 1:
        return f"{len(source.sps)} SPS in avcC"
    try:
        sets = ParameterSets.read(source)
    except BadBitstream as error:
        return f"unreadable parameter sets: {error}"
    (sps,) = sets.sps.values()
    reasons = {
        f"profile {sps.profile_idc}": sps.profile_idc not in _PROFILES,
        "an intra profile": sps.profile_idc in _PROFILES - {_BASELINE, _MAIN, 100} and sps.constraint(3),
        _format(sps.samples): sps.samples != _PLAIN,
        "picture order count of type 1": sps.order.type == 1,
        "macroblock-adaptive interlacing": sps.mbaff,
        "no reference frames": sps.max_num_ref_frames == 0,
        "pictures cropped at the left or top": sps.crop.left > 0 or sps.crop.top > 0,
        "motion vectors that stay inside the picture": _bounded_motion(sps),
        "slice groups": any(pps.num_slice_groups > 1 for pps in sets.pps.values()),
        "no PPS": not sets.pps,
        "no free PPS id": not free_pps_ids(source),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def picture_why_not(facts: SliceFacts, source: AvcConfig) -> str:
    """Why a source with such a picture among those copied must not get edges; empty if it may."""
    reasons = {
        "pictures in fields": facts.field,
        "data partitions": facts.partitioned,
        "layers of SVC or MVC": facts.layered,
        f"{facts.slice_type} slices": facts.slice_type in {"SP", "SI"},
        "other parameter sets in the samples": any(s not in source.sps + source.pps for s in facts.sets),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def edge_for(source: AvcConfig) -> Edge:
    """How an edge must be encoded. Raises Misfit if `why_not` has a reason."""
    if reason := why_not(source):
        raise Misfit(reason)
    (sps,) = ParameterSets.read(source).sps.values()
    return Edge(
        profile=_profile(sps),
        level=_level(sps),
        refs=sps.max_num_ref_frames,
        bframes=_bframes(sps),
        fake_interlaced=not sps.frame_mbs_only,
        full_range=bool(sps.vui and sps.vui.full_range),
        width=sps.width,
        height=sps.height,
    )


def free_pps_ids(source: AvcConfig, used: Collection[int] = ()) -> list[int]:
    """The PPS ids that an edge may get, the lowest first; `used`: ids beside those of avcC.

    Raises BadBitstream if the source's sets are unreadable.
    """
    if len(source.pps) >= MOST_PPS_ID:
        return []
    taken = set(used) | set(ParameterSets.read(source).pps)
    return [number for number in range(MOST_PPS_ID + 1) if number not in taken]


def free_idr_id(neighbours: Iterable[int | None]) -> int:
    """An idr_pic_id unlike those of the IDR pictures before and after: else two in a row were one picture."""
    taken = set(neighbours)
    return next(number for number in range(len(taken) + 1) if number not in taken)


def combined(source: AvcConfig, pps: Iterable[bytes]) -> AvcConfig:
    """The source's configuration with the PPS of its edges. Raises Misfit if they are too many."""
    made = replace(source, pps=(*source.pps, *pps))
    if len(made.pps) > MOST_PPS_ID:
        raise Misfit(f"{len(made.pps)} PPS")
    return made


def _format(samples: Samples) -> str:
    chroma = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")[samples.chroma_format_idc]
    return f"{chroma} of {samples.bit_depth_luma} bits{', lossless' if samples.lossless else ''}"


def _bounded_motion(sps: Sps) -> bool:
    limits = sps.vui and sps.vui.restriction
    return bool(limits and not limits.motion_vectors_over_pic_boundaries)


def _profile(sps: Sps) -> str:
    # the first two flags promise that a decoder for Baseline, or for Main, can read it
    if sps.profile_idc == _BASELINE or sps.constraint(0):
        return "baseline"
    return "high" if sps.profile_idc in HIGH_PROFILES and not sps.constraint(1) else "main"


def _level(sps: Sps) -> str:
    low = sps.profile_idc not in HIGH_PROFILES
    if sps.level_idc == 9 or (sps.level_idc == 11 and low and sps.constraint(3)):
        return "1b"
    return f"{sps.level_idc // 10}.{sps.level_idc % 10}" if sps.level_idc in _LEVELS else ""


def _bframes(sps: Sps) -> int:
    """How many B-frames in a row a decoder of this SPS expects to reorder; only where it says so."""
    limits = sps.vui and sps.vui.restriction
    constrained = sps.profile_idc in HIGH_PROFILES and sps.constraint(4) and sps.constraint(5)
    if _profile(sps) == "baseline" or constrained or sps.order.type != 0 or not sps.direct_8x8_inference:
        return 0
    if (
        not limits
        or limits.max_num_reorder_frames < 1
        or min(limits.max_dec_frame_buffering, sps.max_num_ref_frames) < 2
    ):
        return 0
    # the next P stands 2 (n + 1) further in order count, which must be less than half of what the bits hold
    return min(_MOST_B, ((1 << sps.order.log2_max_lsb - 1) - 1) // 2 - 1)
