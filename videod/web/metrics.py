"""/metrics for Prometheus: what was done, as it was counted with each end, and how things are now.

The counters are those in Redis, the same from every web process and over restarts: Prometheus asks one of them. Without
Redis `videod_redis_up` is 0 and there is nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from videod import __version__
from videod.errors import RedisAway
from videod.jobqueue.ages import EVERY_SECONDS
from videod.jobqueue.figures import BOUNDS, Totals
from videod.jobqueue.nodes import is_away
from videod.jobqueue.steer import ALL
from videod.web.access import require
from videod.web.site import Site, regularly, site_of


def routes(site: Site) -> list[Route]:
    """Those of this room."""
    return [Route("/metrics", metrics)]


def running(site: Site) -> AbstractAsyncContextManager[None]:
    """Look at the lists now and then, so that it is known since when their messages wait when somebody asks."""
    return regularly(site, EVERY_SECONDS, site.search.look)


def metrics(request: Request) -> Response:
    """All of them."""
    require(request, "watch")
    return Response(generate_latest(_Farm(site_of(request))), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Farm(Collector):
    """Asked once for each request."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterable[Metric]:
        """The families."""
        up = GaugeMetricFamily("videod_redis_up", "Whether Redis answers.")
        try:
            found = list(self._families())
            up.add_metric([], 1)
        except RedisAway:
            found = []
            up.add_metric([], 0)
        web = GaugeMetricFamily("videod_web", "The web process.", labels=["version"])
        web.add_metric([__version__], 1)
        watchers = GaugeMetricFamily("videod_web_watchers", "Browsers that wait for events here.")
        watchers.add_metric([], self._site.hub.count)
        return [up, web, watchers, *found]

    def _families(self) -> Iterable[Metric]:
        yield from _done(self._site.figures.total())
        yield from _queues(self._site.search.queues())
        yield from _nodes(self._site)


def _counter(name: str, doc: str, value: float) -> Metric:
    return CounterMetricFamily(name, doc, value=value)


def _done(total: Totals) -> Iterable[Metric]:
    jobs = CounterMetricFamily("videod_jobs", "Jobs that ended.", labels=["kind", "outcome"])
    retries = CounterMetricFamily("videod_retries", "Attempts that failed and were tried again.", labels=["kind"])
    for (kind, outcome), number in sorted(total.ended.items()):
        if outcome == "retry":
            retries.add_metric([kind], number)
        else:
            jobs.add_metric([kind, outcome], number)
    errors = CounterMetricFamily("videod_errors", "Attempts that failed.", labels=["code"])
    for code, number in sorted(total.errors.items()):
        errors.add_metric([code], number)
    yield from (jobs, retries, errors)
    stages = HistogramMetricFamily("videod_stage_seconds", "How long each stage took.", labels=["stage"])
    for stage, found in sorted(total.stages.items()):
        buckets, below = [], 0
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), found.counts, strict=True):
            below += number
            buckets.append((bound, float(below)))
        stages.add_metric([stage], buckets, found.seconds)
    yield stages
    yield _counter("videod_job_seconds", "Seconds that attempts took.", total.seconds)
    yield _counter("videod_cpu_seconds", "CPU seconds of attempts, tools included.", total.cpu_seconds)
    yield _counter("videod_fetched_bytes", "Bytes of bodies received.", total.fetched_bytes)
    yield _counter("videod_uploaded_bytes", "Bytes of results.", total.uploaded_bytes)


def _queues(queues: Iterable[dict[str, Any]]) -> Iterable[Metric]:
    lengths = GaugeMetricFamily("videod_queue_length", "Messages in a list.", labels=["queue"])
    ages = GaugeMetricFamily(
        "videod_queue_oldest_seconds", "How long the oldest message waits, at least.", labels=["queue"]
    )
    now = time.time()
    for queue in queues:
        lengths.add_metric([queue["name"]], queue["length"])
        if queue["oldest_at"]:
            ages.add_metric([queue["name"]], max(0.0, now - _seconds(queue["oldest_at"], now)))
    yield from (lengths, ages)


def _seconds(text: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return otherwise


def _nodes(site: Site) -> Iterable[Metric]:
    up = GaugeMetricFamily("videod_node_up", "Whether a node serves.", labels=["node"])
    paused = GaugeMetricFamily("videod_node_paused", "Whether a node takes no messages.", labels=["node"])
    slots = GaugeMetricFamily("videod_slots", "Slots of a node.", labels=["node"])
    busy = GaugeMetricFamily("videod_slots_busy", "Slots of a node that work.", labels=["node"])
    everyone = ALL in site.steer.paused()
    for name, facts in sorted(site.browse.nodes().items()):
        here = not is_away(facts)
        up.add_metric([name], here)
        paused.add_metric([name], everyone or bool(facts.get("paused")))
        for family, key in ((slots, "slots"), (busy, "busy")):
            number = facts.get(key)
            family.add_metric([name], number if here and isinstance(number, (int, float)) else 0)
    yield from (up, paused, slots, busy)
