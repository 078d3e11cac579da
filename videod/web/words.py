"""What visitors are told of a job: states, stages and errors in words, without codes, addresses and names of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# by the state of the job record; '' is a job without one
STATES: Mapping[str, str] = {
    "": "in line",
    "queued": "in line",
    "requeued": "in line",
    "running": "in work",
    "retry": "tried again soon",
    "done": "ready",
    "dead": "failed",
    "cancelled": "cancelled",
    "gone": "expired",
}
STAGES: Mapping[str, str] = {
    "": "beginning",
    "fetch": "getting the video",
    "probe": "looking at the video",
    "cut": "cutting",
    "encode": "converting",
    "pictures": "making pictures",
    "upload": "putting the result in place",
}
ERRORS: Mapping[str, str] = {
    "bad_message": "This cannot be done with this file.",
    "forbidden_source": "This address may not be read here.",
    "not_found": "There is no video at this address.",
    "denied": "The server refused to hand out the video.",
    "not_video": "There is no moving picture in this file, or it has a format that is not known here.",
    "encrypted": "The video is encrypted.",
    "damaged": "The video is damaged, or not whole. Is it whole on your side, and does it play there?",
    "out_of_range": "The part asked for lies outside of the video.",
    "too_big": "The video is too large or too long.",
    "upload_denied": "The result could not be stored.",
    "encode_failed": "The video could not be processed.",
    "crashed": "The video could not be processed: that broke down several times.",
    "fetch_failed": "The video could not be fetched: its server cannot be found or reached, or it broke off.",
    "upload_failed": "The result could not be stored.",
    "disk_full": "There was no room for the result.",
    "stalled": "It stood still for too long.",
    "timeout": "It took too long.",
    "tool_crashed": "It broke down.",
}
# of the file itself: whatever is made of it ends so
UNFIT = ("not_video", "encrypted", "damaged")
# another try of the same job ends so, too
HOPELESS = (*UNFIT, "bad_message", "forbidden_source", "out_of_range", "too_big")


def code_of(error: Any) -> str:
    """The code of an error in a record, '' without one."""
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def error_text(error: Any, *, uploaded: bool = False) -> str:
    """Why a job failed, for who waits for it; its own words may hold paths and addresses."""
    code = code_of(error)
    if code == "not_found" and uploaded:
        return "The file is not there any more. Please upload it again."
    return ERRORS.get(code, "Something went wrong here.")


def told(state: str, place: int | None, stage: str, percent: float, error: Any, *, uploaded: bool = False) -> str:
    """One sentence on how a job stands."""
    if state == "queued":
        return (
            "It is in line."
            if place is None
            else "It is the next in line."
            if place == 1
            else f"Place {place} in line."
        )
    if state == "running":
        return f"{STAGES.get(stage, 'working').capitalize()}: {percent:.0f} %."
    if state == "retry":
        return f"{error_text(error, uploaded=uploaded)} It is tried again soon."
    if state == "dead":
        return error_text(error, uploaded=uploaded)
    return {"done": "It is ready.", "cancelled": "It was cancelled.", "gone": "It has expired."}.get(state, "")
