"""The durable state: messages, job records, events and nodes, all in Redis. Sole writer of it."""

from videod.jobqueue.claims import Claim, Taken
from videod.jobqueue.connection import Connection, Health
from videod.jobqueue.names import Names
from videod.jobqueue.queue import JobQueue

__all__ = ["Claim", "Connection", "Health", "JobQueue", "Names", "Taken"]
