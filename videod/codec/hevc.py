"""What a sample of HEVC is (ISO 23008-2), and what a copy that begins at an open GOP must change in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from videod.codec.bits import BadBitstream, BitReader, unescape
from videod.codec.nal import join, split, trimmed

# bytes; what is read of a slice segment lies in the first few
_FRONT = 16
_MOST_PPS_ID = 63
_HEADER = 2


class Hevc(IntEnum):
    """nal_unit_type of HEVC. Below 32 are slice segments, of which 16 to 23 are of random access points (IRAP)."""

    TRAIL_N = 0
    RADL_N = 6
    RADL_R = 7
    RASL_N = 8
    RASL_R = 9
    LAST_SUB_LAYER = 15
    BLA_W_LP = 16
    BLA_W_RADL = 17
    BLA_N_LP = 18
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    LAST_IRAP = 23
    LAST_SLICE = 31
    VPS = 32
    SPS = 33
    PPS = 34
    AUD = 35
    END_OF_SEQUENCE = 36
    END_OF_STREAM = 37
    FILLER = 38
    PREFIX_SEI = 39
    SUFFIX_SEI = 40
    UNSPECIFIED = 48


_SETS = frozenset({Hevc.VPS, Hevc.SPS, Hevc.PPS})


@dataclass(frozen=True)
class HevcFacts:
    """A sample of HEVC, by its first slice segment; NAL units of further layers (SHVC, MV-HEVC) do not count.

    `reference`: other pictures of its sub-layer may refer to it; `segments`: slice segments of the picture;
    `sets`: parameter sets that stand in the sample; `layered`: it holds further layers; `discards`:
    no_output_of_prior_pics_flag of an IRAP picture; `unspecified`: NAL units of types that are left to others, as those
    of Dolby Vision.
    """

    nal_type: int
    temporal_id: int
    pps_id: int
    segments: int
    sets: tuple[bytes, ...]
    layered: bool
    discards: bool
    unspecified: bool

    @property
    def irap(self) -> bool:
        """Decoding may begin here."""
        return Hevc.BLA_W_LP <= self.nal_type <= Hevc.LAST_IRAP

    @property
    def idr(self) -> bool:
        """Nothing after it refers to anything before it."""
        return self.nal_type in {Hevc.IDR_W_RADL, Hevc.IDR_N_LP}

    @property
    def cra(self) -> bool:
        """Its RASL pictures refer to what is before it."""
        return self.nal_type == Hevc.CRA

    @property
    def bla(self) -> bool:
        """A seam: its RASL pictures are not to be decoded."""
        return self.nal_type in {Hevc.BLA_W_LP, Hevc.BLA_W_RADL, Hevc.BLA_N_LP}

    @property
    def rasl(self) -> bool:
        """Shown before its IRAP picture, and not decodable where decoding begins with that."""
        return self.nal_type in {Hevc.RASL_N, Hevc.RASL_R}

    @property
    def radl(self) -> bool:
        """Shown before its IRAP picture, and decodable from there."""
        return self.nal_type in {Hevc.RADL_N, Hevc.RADL_R}

    @property
    def reference(self) -> bool:
        """Not a sub-layer non-reference picture: these have the even types below 16."""
        return self.nal_type > Hevc.LAST_SUB_LAYER or self.nal_type % 2 == 1


def hevc_type(nal: bytes) -> int:
    """nal_unit_type of an HEVC NAL unit, which must not be empty."""
    return nal[0] >> 1 & 63


def layer_id(nal: bytes) -> int:
    """nuh_layer_id: 0 is what every decoder shows. Raises BadBitstream."""
    if len(nal) < _HEADER:
        raise BadBitstream("a NAL unit of one byte")
    return (nal[0] & 1) << 5 | nal[1] >> 3


def hevc_facts(sample: bytes, length_size: int) -> HevcFacts:
    """What one sample of a track is. Raises BadBitstream, also for a sample without a slice segment."""
    nals = split(sample, length_size)
    ours = [nal for nal in nals if layer_id(nal) == 0]
    slices = [nal for nal in ours if hevc_type(nal) <= Hevc.LAST_SLICE]
    if not slices:
        raise BadBitstream("a sample without a slice segment")
    first = slices[0]
    bits = BitReader(unescape(first[_HEADER:_FRONT]))
    if not bits.flag():
        raise BadBitstream("a sample does not begin with its picture's first slice segment")
    kind = hevc_type(first)
    discards = Hevc.BLA_W_LP <= kind <= Hevc.LAST_IRAP and bits.flag()
    return HevcFacts(
        nal_type=kind,
        temporal_id=_temporal_id(first),
        pps_id=bits.ue(_MOST_PPS_ID, "slice_pic_parameter_set_id"),
        segments=len(slices),
        sets=tuple(trimmed(nal) for nal in ours if hevc_type(nal) in _SETS),
        layered=len(ours) < len(nals),
        discards=discards,
        unspecified=any(hevc_type(nal) >= Hevc.UNSPECIFIED for nal in nals),
    )


def cra_to_bla(sample: bytes, length_size: int, *, radl: bool = False) -> dict[int, bytes]:
    """What makes a CRA picture one of type BLA, before which a cut lies: the bytes of its sample that change, by place.

    They are the types in its headers. The caller drops its RASL pictures. `radl`: RADL pictures of it are kept. Raises
    BadBitstream for a sample that is no CRA picture.
    """
    kind = Hevc.BLA_W_RADL if radl else Hevc.BLA_N_LP
    split(sample, length_size)  # proves the lengths
    changed, at = {}, 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + length_size], "big")
        at += length_size
        old = hevc_type(sample[at : at + 1]) if size else Hevc.FILLER
        if old == Hevc.CRA:
            changed[at] = bytes([sample[at] & 0x81 | kind << 1])
        elif old <= Hevc.LAST_SLICE:
            raise BadBitstream(f"a slice segment of type {old} in a CRA picture")
        at += size
    if not changed:
        raise BadBitstream("no CRA picture")
    return changed


def with_sets_in_band(sample: bytes, sets: Iterable[bytes], length_size: int) -> bytes:
    """The sample with these parameter sets before its picture, in place of any that stand there.

    An access unit delimiter stays first. Raises BadBitstream.
    """
    nals = [nal for nal in split(sample, length_size) if hevc_type(nal) not in _SETS]
    at = 1 if nals and hevc_type(nals[0]) == Hevc.AUD else 0
    return join([*nals[:at], *sets, *nals[at:]], length_size)


def delimiter(sample: bytes, length_size: int) -> int:
    """How many bytes of a sample the access unit delimiter takes, length and all, that nothing may stand before."""
    size = int.from_bytes(sample[:length_size], "big")
    begins = len(sample) > length_size and size > 0 and hevc_type(sample[length_size:]) == Hevc.AUD
    return length_size + size if begins else 0


def _temporal_id(nal: bytes) -> int:
    if not nal[1] & 7:
        raise BadBitstream("nuh_temporal_id_plus1 is 0")
    return (nal[1] & 7) - 1
