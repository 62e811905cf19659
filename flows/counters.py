"""A run's counters for Prometheus: `/metrics` of the process that carries it out.

Where `CORD_METRICS_PORT` names a port (`9469`) or several to choose from (`9469-9476`: runs of one
worker are processes beside each other), the first free one serves what this process's board and
meters hold. Nothing is served otherwise. It listens on this machine alone unless
`CORD_METRICS_ADDRESS` says where else; the counters name runs and models, and hold no text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cord.engines.metering import ASKERS, ENGINES, Meters
from tasks.board import BOARD, DASHBOARD_LOG, Board

PORT = "CORD_METRICS_PORT"
ADDRESS = "CORD_METRICS_ADDRESS"


class RunCounters(Collector):
    """The board and the meters, as they stand when Prometheus asks."""

    def __init__(self, board: Board, askers: Meters, engines: Meters) -> None:
        self.run = ""
        """The run that is carried out; empty between two."""
        self._board = board
        self._meters = (("asker", askers), ("engine", engines))

    def collect(self) -> Iterable[Metric]:
        """Families of one moment."""
        board, run = self._board, self.run
        if not run:
            return
        yield _gauge("cord_run_in_progress", "1 while the run is carried out here", run, 1)
        stage = GaugeMetricFamily(
            "cord_stage", "1 for the stage at which the run is", labels=["run", "stage"]
        )
        stage.add_metric([run, board.stage], 1)
        yield stage
        yield _gauge("cord_problems", "Problems to decode", run, board.total)
        yield _gauge("cord_problems_done", "Problems whose search has ended", run, board.done)
        yield _gauge("cord_problems_quarantined", "Of these, set aside", run, board.quarantined)
        if (score := board.mean_score) is not None:
            yield _gauge("cord_mean_score", "Mean score of the best trajectories", run, score)
        yield _counter("cord_rounds", "Rounds decided", run, board.rounds)
        yield _counter("cord_sampled_tokens", "Tokens sampled, kept or not", run, board.tokens)
        yield from self._work(run)

    def _work(self, run: str) -> Iterator[Metric]:
        for who, meters in self._meters:
            requests = CounterMetricFamily(
                f"cord_{who}_requests", f"Requests, by {who}", labels=["run", who]
            )
            seconds = CounterMetricFamily(
                f"cord_{who}_busy_seconds",
                f"Seconds in which a request was at work, by {who}",
                labels=["run", who],
            )
            for name, work in meters.read().items():
                requests.add_metric([run, name], work.requests)
                seconds.add_metric([run, name], work.seconds_busy)
            yield requests
            yield seconds


_counters = RunCounters(BOARD, ASKERS, ENGINES)
_tried = False
"""A process serves once, whatever number of runs it carries out."""


@contextmanager
def counted(run_id: str) -> Iterator[None]:
    """While the block runs, the process's counters are this run's. Never raises for their sake."""
    _serve_once()
    before, _counters.run = _counters.run, run_id
    try:
        yield
    finally:
        _counters.run = before


def _serve_once() -> None:
    global _tried
    if _tried or not (wanted := os.environ.get(PORT, "").strip()):
        return
    _tried = True
    ports = _ports(wanted)
    if not ports:
        DASHBOARD_LOG.warning(
            "%s is %r, which is no port; no counters are served (write 9469, or 9469-9476)",
            PORT,
            wanted,
        )
        return
    address = os.environ.get(ADDRESS, "").strip() or "127.0.0.1"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_counters)
    why = ""
    for port in ports:
        try:
            start_http_server(port, address, registry)
        except OSError as error:
            why = error.strerror or str(error)
        else:
            return
    DASHBOARD_LOG.warning(
        "no counters are served: %s on %s (%s): the run goes on without; give several ports, as in "
        "%s=9469-9476",
        wanted,
        address,
        why,
        PORT,
    )


def _ports(wanted: str) -> range:
    """From "9469" or "9469-9476"; empty where it is neither."""
    matched = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", wanted)
    if matched is None:
        return range(0)
    first, last = int(matched[1]), int(matched[2] or matched[1])
    return range(first, last + 1) if 0 < first <= last < 65536 else range(0)


def _gauge(name: str, about: str, run: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, about, labels=["run"])
    family.add_metric([run], value)
    return family


def _counter(name: str, about: str, run: str, value: float) -> Metric:
    family = CounterMetricFamily(name, about, labels=["run"])
    family.add_metric([run], value)
    return family
