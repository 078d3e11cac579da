"""Download files: each whole under its name, or uploaded, or all in one archive; the batch form, too.

What is whole or has failed for good is marked and announced at once, so that an attempt goes on where the one
before it, or the daemon, stood. Files that fail do not keep the others.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from videod.config.settings import Settings
from videod.context import Context
from videod.deliver import deliver, place
from videod.errors import BadMessage, Cancelled, Failure, Internal, Partial, Permanent
from videod.events import Output, Said
from videod.job import BATCH, Job, is_batch
from videod.redact import hide
from videod.transfer import upload
from videod.transfer.archive import archive
from videod.transfer.listed import File, check, files_of
from videod.transfer.many import Came, Many, Wanted
from videod.transfer.part import discard, make_folder, size_there
from videod.transfer.urls import name_of

# percent of the job where results are sent on
SENDING = 30
# in the job record; the log has all
MOST_WARNINGS = 20


@dataclass(frozen=True)
class Params:
    """Files and where they go. `stage` is where they come to, `folder` where they, or the archive, stay; `targets`
    are uploads: one for each file, or one for the archive; none: they stay."""

    files: tuple[File, ...]
    folder: str
    stage: str
    archive: str
    targets: tuple[upload.Target, ...]
    batch: bool

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message of either form. BadMessage, ForbiddenSource, UploadDenied, each naming the field."""
        fields = job.fields
        base = os.path.realpath(settings.download_dir)
        if batch := is_batch(fields):
            folder = os.path.join(base, job.id.removeprefix(BATCH))
            return cls(files_of(fields, "task_info", "fn"), folder, folder, "", (), batch)
        files = files_of(fields, "files", "name")
        check(files, settings, private=not job.public_only)
        archive = f"{job.id}.zip" if fields.flag("zip") else ""
        targets = _targets(job, files, archive, settings)
        folder = os.path.join(base, job.id)
        # an id begins with no dot: this is nobody's folder
        stage = os.path.join(base, f".{job.id}") if archive or targets else folder
        return cls(files, folder, stage, archive, targets, batch)


def _targets(job: Job, files: Sequence[File], archive: str, settings: Settings) -> tuple[upload.Target, ...]:
    template = job.fields.text("upload")
    if template is None:
        return ()
    paths = [archive] if archive else [file.path for file in files if not file.wrong]
    made, seen = list[upload.Target](), set[str]()
    for n, path in enumerate(paths, 1):
        ext = os.path.splitext(path)[1].lstrip(".") or "bin"
        target = place(job, template, n, name_of("/" + path), ext, settings, check=not made)
        if target.key in seen:
            raise BadMessage(f"two files have one name: {path[:100]!r}: use {{n}}", field="upload")
        seen.add(target.key)
        made.append(target)
    return tuple(made)


def run(params: Params, ctx: Context) -> Sequence[Output]:
    """Bring all files; Partial, with the list, where some failed."""
    work = _Work(params, ctx)
    try:
        work.fetch()
        work.send()
    except Cancelled:
        if ctx.tools.cancel.wanted:
            work.clear()
        raise
    except (Failure, OSError) as error:
        if ctx.book.last or isinstance(error, Permanent):
            work.give_up(error if isinstance(error, Failure) else Internal(str(error)))
            work.clear()
        raise
    work.clear()
    work.judge()
    return ctx.outputs


class _Work:
    """One attempt: what came and what failed, by number of the file."""

    def __init__(self, params: Params, ctx: Context) -> None:
        self._params, self._ctx = params, ctx
        self._stays = params.stage == params.folder
        self._failed: dict[int, str] = {}
        self._whole: dict[int, Came] = {}
        self._made: dict[int, Output] = {}
        self._sent: dict[str, Output] = {}

    def fetch(self) -> None:
        """All files into their folder, as far as they are not there."""
        params, ctx = self._params, self._ctx
        ctx.progress.begin("fetch", 100 if self._stays else 100 - SENDING)
        make_folder(params.stage, sync=ctx.settings.fsync is True)
        wanted = self._left(ctx.book.marks())
        self._fail([(file, file.wrong) for file in params.files if file.wrong and file.n not in self._failed])
        if not wanted:
            return
        assert ctx.connections is not None
        private = not ctx.job.public_only
        many = Many(ctx.settings, ctx.tools, ctx.connections, ctx.space, private=private)
        begun, there = time.monotonic(), 1 - len(wanted) / len(params.files)

        def look(part: float) -> None:
            ctx.progress.update(there + part * (1 - there), _speed(many.received, begun))

        def on_came(came: Sequence[Came]) -> None:
            ctx.fetched_bytes = many.received
            self._came(wanted, came)

        asked = [Wanted(file.url, self._path(file), file.sha256) for file in wanted]
        try:
            overwrite = ctx.job.overwrite or not self._stays
            many.bring(asked, params.stage, ctx.job.max_attempts, overwrite, on_came, look)
        finally:
            ctx.fetched_bytes = many.received
            ctx.log.info(f"{len(self._whole)} of {len(params.files)} files are whole, {len(self._failed)} failed")

    def _left(self, marks: Mapping[str, Any]) -> list[File]:
        """What is still to be fetched, by what earlier attempts have marked and by what is there."""
        left = []
        if "zip" in marks and self._is_there(made := Output(**marks["zip"])):
            self._sent["zip"] = made
            return []
        for file in self._params.files:
            mark = marks.get(str(file.n))
            if isinstance(mark, dict) and "error" in mark:
                self._failed[file.n] = mark["error"]
            elif mark is not None and not self._stays:
                self._sent[str(file.n)] = Output(**mark)
            elif not file.wrong:
                kept = mark or marks.get(f"w{file.n}")
                if kept and size_there(self._params.stage, self._path(file)) == kept["bytes"]:
                    self._whole[file.n] = Came(file.n, kept["bytes"], kept["sha256"])
                else:
                    left.append(file)
        return left

    def _is_there(self, made: Output) -> bool:
        params = self._params
        return bool(params.targets) or size_there(params.folder, params.archive) == made.bytes

    def _path(self, file: File) -> str:
        return file.path if self._stays else str(file.n)

    def _came(self, wanted: Sequence[File], came: Sequence[Came]) -> None:
        said, failed = [], []
        for one in came:
            file = wanted[one.n]
            if one.failure:
                failed.append((file, self._why(one.failure)))
                continue
            self._whole[file.n] = one
            self._ctx.log.debug(f"{file.name[:200]!r} is whole: {one.bytes} bytes")
            if self._stays:
                output = self._output(file, one)
                said.append(Said(str(file.n), output.as_dict(), file.name, output=output))
            else:
                said.append(Said(f"w{file.n}", {"bytes": one.bytes, "sha256": one.sha256}))
        if said:
            self._ctx.book.announce(said)
        self._fail(failed)

    def _fail(self, failed: Sequence[tuple[File, str]]) -> None:
        for file, why in failed:
            self._failed[file.n] = why
            say = self._ctx.log.warn if len(self._failed) <= MOST_WARNINGS else self._ctx.log.info
            say(f"{file.name[:200]!r}: {why}")
        if failed:
            self._ctx.book.announce([Said(str(file.n), {"error": why}, file.name, why) for file, why in failed])

    def _why(self, failure: Failure) -> str:
        return f"{failure.code}: {hide(failure.message, self._ctx.settings.secret_values)}"

    def _output(self, file: File, came: Came) -> Output:
        if file.n not in self._made:
            url = "file://" + quote(os.path.join(self._params.folder, file.path))
            self._made[file.n] = Output(file.n, url, came.bytes, came.sha256)
        return self._made[file.n]

    def send(self) -> None:
        """Files that do not stay go on, or into the archive, which needs all of them."""
        params, ctx = self._params, self._ctx
        if self._stays:
            ctx.outputs += [self._output(file, self._whole[file.n]) for file in params.files if file.n in self._whole]
        elif params.archive:
            if not self._failed:
                ctx.outputs.append(self._sent.get("zip") or self._archive())
        else:
            good = [file for file in params.files if not file.wrong]
            for file, target in zip(good, params.targets, strict=True):
                if file.n in self._whole:
                    self._sent[str(file.n)] = self._upload(str(file.n), file.n, target, SENDING / len(good))
                if output := self._sent.get(str(file.n)):
                    ctx.outputs.append(output)

    def _upload(self, staged: str, n: int, target: upload.Target, share: float, field: str = "") -> Output:
        # kept: until its upload is announced a crash would else fetch it again
        sent = deliver(Path(self._params.stage, staged), target, self._ctx, share, keep=True)
        made = Output(n, sent.url, sent.bytes, sent.sha256)
        self._ctx.book.announce([Said(field or str(n), made.as_dict(), output=made)])
        return made

    def _archive(self) -> Output:
        params, ctx = self._params, self._ctx
        share = SENDING / (2 if params.targets else 1)
        ctx.progress.begin("upload", share)
        sizes = {n: came.bytes for n, came in self._whole.items()}
        files = [(file.path, os.path.join(params.stage, self._path(file)), sizes[file.n]) for file in params.files]
        whole, done = sum(sizes.values()) or 1, 0

        def on_bytes(size: int) -> None:
            nonlocal done
            done += size
            ctx.tools.check()
            ctx.progress.update(done / whole)

        folder, job = params.stage if params.targets else params.folder, ctx.job
        where = (folder, params.archive, ctx.settings, ctx.space)
        size, sha256 = archive(files, *where, on_bytes, overwrite=job.overwrite or bool(params.targets))
        if params.targets:
            return self._upload(params.archive, 1, params.targets[0], share, "zip")
        made = Output(1, "file://" + quote(os.path.join(folder, params.archive)), size, sha256)
        ctx.book.announce([Said("zip", made.as_dict(), output=made)])
        return made

    def give_up(self, failure: Failure) -> None:
        """The last attempt failed as a whole: so did what is not whole yet."""
        if self._stays:
            self._ctx.outputs[:] = [self._output(f, self._whole[f.n]) for f in self._params.files if f.n in self._whole]
        why = self._why(failure)
        known = {*self._failed, *(self._whole if self._stays else (int(n) for n in self._sent if n != "zip"))}
        self._fail([(file, why) for file in self._params.files if file.n not in known])

    def clear(self) -> None:
        """Nothing goes on with what is not whole, nor with what was only put aside."""
        if not self._stays:
            shutil.rmtree(self._params.stage, ignore_errors=True)
            return
        for file in self._params.files:
            if file.n not in self._whole and not file.wrong:
                discard(self._params.stage, file.path)

    def judge(self) -> None:
        """Partial, unless all files are where they belong."""
        files, failed = self._params.files, self._failed
        if not failed:
            return
        facts = [{"fn": file.name, "error": failed[file.n]} for file in files if file.n in failed]
        first = facts[0]
        text = f"{len(facts)} of {len(files)} files failed, the first: {first['fn'][:200]!r}: {first['error']}"
        raise Partial(text, facts=facts)


def _speed(size: int, begun: float) -> str:
    return f"{size / 1e6 / max(time.monotonic() - begun, 0.001):.1f} MB/s"
