"""The parameter sets of an H.264 stream by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from videod.codec.bits import BadBitstream
from videod.codec.nal import Avc, avc_type
from videod.codec.pps import Pps, pps_ids, read_pps
from videod.codec.records import AvcConfig
from videod.codec.sps import Sps, read_sps


@dataclass(frozen=True)
class ParameterSets:
    """SPS and PPS by their ids; never changed, only replaced."""

    sps: dict[int, Sps]
    pps: dict[int, Pps]

    @classmethod
    def read(cls, config: AvcConfig) -> ParameterSets:
        """Those of a configuration record. Raises BadBitstream."""
        return cls({}, {}).plus((*config.sps, *config.pps))

    def plus(self, nals: Iterable[bytes]) -> ParameterSets:
        """These and further ones, which replace those with their ids; NAL units of other types are passed over.

        Raises BadBitstream, also for a PPS whose SPS is not known.
        """
        sps, pps = dict(self.sps), dict(self.pps)
        for nal in nals:
            if avc_type(nal) == Avc.SPS:
                made = read_sps(nal)
                sps[made.id] = made
            elif avc_type(nal) == Avc.PPS:
                number, sps_id = pps_ids(nal)
                if sps_id not in sps:
                    raise BadBitstream(f"PPS {number} names SPS {sps_id}, which is missing")
                pps[number] = read_pps(nal, sps[sps_id])
        return ParameterSets(sps, pps)

    def of(self, pps_id: int) -> tuple[Pps, Sps]:
        """The sets of a slice that names this PPS. Raises BadBitstream if they are missing."""
        pps = self.pps.get(pps_id)
        if pps is None:
            raise BadBitstream(f"PPS {pps_id} is missing")
        return pps, self.sps[pps.sps_id]
