"""One tree of errors. The class decides a job's fate or a command's exit code; nothing else does.

`Permanent` ends a job as dead, `Temporary` lets it be tried again. The `code` of a failure is what
producers see in events (docs/protocol.md).
"""

from __future__ import annotations

from videod.redact import hide
from videod.spent import Spent


class VideodError(Exception):
    """Anything a user can cause; its text is one line: what: where: what to do."""

    exit_code = 1


class UsageError(VideodError):
    """The command line is wrong."""

    exit_code = 2


class NotRunning(VideodError):
    """The command needs a daemon and none runs here."""

    exit_code = 3


class ToolMissing(VideodError):
    """A program that videod runs is not installed."""

    exit_code = 5


class ConfigError(VideodError):
    """The ini is wrong; the text names file, section, key and what is allowed."""

    exit_code = 6


class AlreadyRunning(VideodError):
    """Another daemon holds the lock or the node name."""


class RedisAway(VideodError):
    """Redis does not answer, or not yet, or refuses for now; the same call may go through later."""


class RedisRefused(RedisAway):
    """Redis answered that it will not do this: a key of another type, no permission, another hash slot."""


class RedisUnfit(VideodError):
    """This Redis would lose messages, or cannot do what videod needs; waiting does not help."""


class Cancelled(Exception):
    """The job was told to stop: by a forced end of the daemon or by the user. Not a failure.

    `spent` is what its attempt took until then.
    """

    spent = Spent()


class Failure(VideodError):
    """Why a job failed. `stage` is filled in by the worker where the raiser did not know it."""

    code = "internal"

    def __init__(self, message: str, *, detail: str = "", stage: str = "", facts: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.stage = stage
        self.facts = facts


class Permanent(Failure):
    """Trying again cannot help: the job ends dead at once."""


class Temporary(Failure):
    """The same job may succeed later. `most` is how often it may fail in this way, 0: as often as it is tried."""

    most = 0


class Machine:
    """Mixed into failures that are this machine's fault: the next job would fail here, too."""


class BadMessage(Permanent):
    """The message breaks the protocol; the text names the field."""

    code = "bad_message"

    def __init__(self, message: str, *, field: str = "", detail: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message, detail=detail)
        self.field = field


class ForbiddenSource(Permanent):
    """The guard does not let this address be read."""

    code = "forbidden_source"


class NotFound(Permanent):
    """The source is not there (404, 410, no such file)."""

    code = "not_found"


class Denied(Permanent):
    """The source's server refused us (401, 403)."""

    code = "denied"


class NotVideo(Permanent):
    """The source has no moving picture that we serve."""

    code = "not_video"


class Encrypted(Permanent):
    """The source is encrypted."""

    code = "encrypted"


class Damaged(Permanent):
    """The source arrived whole as promised and is broken inside."""

    code = "damaged"


class OutOfRange(Permanent):
    """The part asked for lies outside the video, or holds no frame."""

    code = "out_of_range"


class TooBig(Permanent):
    """Over a limit of bytes, pixels or seconds."""

    code = "too_big"


class UploadDenied(Permanent):
    """The result may not be written there."""

    code = "upload_denied"


class EncodeFailed(Permanent):
    """A tool exited with an error."""

    code = "encode_failed"


class Partial(Permanent):
    """Some files of a download failed."""

    code = "partial"


class Crashed(Permanent):
    """The job took its daemon down too often."""

    code = "crashed"


class FetchFailed(Temporary):
    """DNS, connect, TLS, 5xx, 408, 429, shorter than promised, redirect loop."""

    code = "fetch_failed"


class UploadFailed(Temporary):
    """The upload broke off or its server had a fault."""

    code = "upload_failed"


class DiskFull(Temporary, Machine):
    """No space left for scratch or result."""

    code = "disk_full"


class NoRoom(Temporary):
    """This job is larger than the disk has room for; others may well fit."""

    code = "disk_full"


class Stalled(Temporary):
    """Nothing moved for `stall_timeout`."""

    code = "stalled"


class TimedOut(Temporary):
    """The attempt's `timeout` is over."""

    code = "timeout"


class ToolCrashed(Temporary):
    """A tool was killed by a signal that is not ours."""

    code = "tool_crashed"
    most = 3


class Internal(Temporary):
    """A fault of videod itself."""

    code = "internal"


class KeyMissing(Internal):
    """This node lacks the key of imported logins: others may have it, and jobs without such a login run here."""


class Unfit(Internal, Machine):
    """This machine cannot run a job: a tool is gone, the scratch folder cannot be written."""


def as_event(failure: Failure) -> dict[str, object]:
    """The `error` object of an event: code, stage, message, detail, secrets hidden; `files` where there are some."""
    error: dict[str, object] = {
        "code": failure.code,
        "stage": failure.stage,
        "message": hide(failure.message),
        "detail": hide(failure.detail),
    }
    if failure.facts is not None:
        error["files"] = failure.facts
    return error
