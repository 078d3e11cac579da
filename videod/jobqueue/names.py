"""The names of all keys, made from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from videod.config.settings import Settings
from videod.job import BATCH


@dataclass(frozen=True)
class Names:
    """Key names of one installation; see docs/protocol.md."""

    prefix: str
    queue: str
    batch_queue: str
    abnormal_queue: str
    batch_reply_prefix: str
    node: str

    @classmethod
    def of(cls, settings: Settings) -> Names:
        """The names that these settings give."""
        lists = (settings.queue, settings.batch_queue, settings.abnormal_queue, settings.batch_reply_prefix)
        return cls(settings.prefix, *lists, settings.node)

    @property
    def node_queue(self) -> str:
        """The list of messages that only this node may take."""
        return self.queue_of(self.node)

    def queue_of(self, node: str) -> str:
        """The list of messages that only `node` may take."""
        return f"{self.queue}@{node}"

    @property
    def served(self) -> tuple[str, ...]:
        """The lists that this node takes from, the abnormal one last."""
        return (self.queue, self.node_queue, self.batch_queue, self.abnormal_queue)

    def running(self, node: str = "") -> str:
        """List: one element for each message that the node works on."""
        return f"{self.prefix}running:{node or self.node}"

    def job(self, ident: str) -> str:
        """Hash: the job record."""
        return f"{self.prefix}job:{ident}"

    @property
    def events(self) -> str:
        """Stream: all events but progress."""
        return f"{self.prefix}events"

    @property
    def progress(self) -> str:
        """Stream: progress."""
        return f"{self.prefix}progress"

    @property
    def dead(self) -> str:
        """List: messages that ended dead, newest first."""
        return f"{self.prefix}dead"

    @property
    def delayed(self) -> str:
        """Sorted set: envelopes of jobs that are tried again, by the time in ms at which they are due."""
        return f"{self.prefix}delayed"

    @property
    def outbox(self) -> str:
        """Sorted set: callbacks that are not delivered yet, by the time in ms at which they are due."""
        return f"{self.prefix}outbox"

    @property
    def paused(self) -> str:
        """Hash: JSON that says who pauses and why, by node; `*` pauses all."""
        return f"{self.prefix}paused"

    def cancel(self, ident: str) -> str:
        """Text: there while somebody wants this job to end."""
        return f"{self.prefix}cancel:{ident}"

    def marks(self, ident: str) -> str:
        """Hash: which files of a job that has not ended are whole or failed for good, and were announced."""
        return f"{self.prefix}files:{ident}"

    def batch_reply(self, ident: str) -> str:
        """List: where the producer of a batch waits; '' for a job that is none."""
        return self.batch_reply_prefix + ident.removeprefix(BATCH) if ident.startswith(BATCH) else ""

    @property
    def counts(self) -> str:
        """Hash: how much was done, for ever; see figures.py."""
        return f"{self.prefix}counts"

    def counts_of(self, hour: int) -> str:
        """Hash: how much was done in the hour that began then, in seconds since 1970."""
        return f"{self.prefix}counts:{hour}"

    def imported(self, ident: str) -> str:
        """Text: there when a row of a sheet was queued as this job; a digest of the login it has, or ended by."""
        return f"{self.prefix}imported:{ident}"

    def batch(self, ident: str) -> str:
        """Hash: the rows of an import."""
        return f"{self.prefix}import:{ident}"

    @property
    def logins(self) -> str:
        """Hash: sealed logins that were imported, by recorder."""
        return f"{self.prefix}logins"

    def turns(self, recorder: str) -> str:
        """Sorted set: who talks to a recorder (host:port), by the time in ms at which that ends by itself."""
        return f"{self.prefix}recorder:{recorder}"

    def line(self, recorder: str) -> str:
        """Sorted set: the jobs that wait for a recorder, by the time in ms since which they do."""
        return f"{self.prefix}line:{recorder}"

    def refused(self, recorder: str) -> str:
        """Hash: by user a digest of the password that a recorder refused."""
        return f"{self.prefix}refused:{recorder}"

    def page(self, ident: str) -> str:
        """Hash: the page of a job of the web side: whose, of what."""
        return f"{self.prefix}page:{ident}"

    def pages(self, owner: str) -> str:
        """Sorted set: the jobs of one user of the web side, by the time in ms at which they were queued."""
        return f"{self.prefix}pages:{owner}"

    def quota(self, owner: str) -> str:
        """Hash: what a user of the web side uploaded and queued in this day of theirs."""
        return f"{self.prefix}quota:{owner}"

    def tries(self, who: str) -> str:
        """Text: how often somebody tried to log in lately."""
        return f"{self.prefix}tries:{who}"

    @property
    def nodes(self) -> str:
        """Hash: who serves, by node name."""
        return f"{self.prefix}nodes"
