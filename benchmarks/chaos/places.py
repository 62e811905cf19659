"""Where trials are made: which lake, which models, which servers beside the run, and so which
victims there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.ceph import ceph
from benchmarks.chaos.dashboard import WORKER, DashboardWorkshop
from benchmarks.chaos.meters import Counted, Meter, Served
from benchmarks.chaos.served import homogeneous, url_of, vllm_server
from benchmarks.chaos.servers import S3, PrefectServer, moto
from benchmarks.chaos.victims import (
    ChildProcess,
    FlowProcess,
    OuterServer,
    ProcessGroup,
    Victim,
)
from benchmarks.chaos.workshop import EMBEDDED, Workshop

IN_FLIGHT = 4
PREFECTS_OWN = ChildProcess("run's own Prefect server", "flows.prefect_server")
VERIFYING = ChildProcess("verifying process", "cord.verification")


@dataclass
class Place:
    """Makes workshops, a fresh folder and a fresh lake each."""

    base: Path
    prefect: PrefectServer
    problems: int
    kind: str = "folder"
    """Whose undisturbed run this place's runs are held against."""
    in_recipe: Mapping[str, Any] = field(default_factory=lambda: EMBEDDED)
    s3: S3 | None = None
    more_victims: tuple[Victim, ...] = ()
    served: Served | None = None
    make: type[Workshop] = Workshop
    own_prefect: bool = True
    """Some of its runs may start a Prefect server of their own."""

    def workshop(self, mark: str, own_prefect: bool = False, **run: int) -> Workshop:
        """`run` is about execution alone."""
        folder = self.base / mark
        environment = {"PREFECT_HOME": str(folder / "prefect")}
        if not own_prefect:
            environment = self.prefect.environment_for_runs()
        if self.s3 is not None:
            environment |= self.s3.environment_for_runs()
        lake = str(folder / "lake") if self.s3 is None else f"s3://chaos/{mark}"
        made = self.make(folder, lake, environment, mark, models=self.in_recipe)
        made.write(self.problems, in_flight=IN_FLIGHT, **run)
        return made

    def meter(self, workshop: Workshop) -> Meter:
        """Of what is sampled for it."""
        return self.served or Counted(workshop)

    def victims(self, own_prefect: bool) -> Sequence[Victim]:
        """In turn."""
        if self.make is DashboardWorkshop:
            return (WORKER, WORKER, VERIFYING, WORKER, OuterServer(self.prefect))
        server: Victim = PREFECTS_OWN if own_prefect else OuterServer(self.prefect)
        more = self.more_victims
        return (FlowProcess(), *more, ProcessGroup(), FlowProcess(), *more, server, VERIFYING)


@contextmanager
def _local(base: Path, prefect: PrefectServer, problems: int) -> Iterator[Place]:
    yield Place(base, prefect, problems)


@contextmanager
def _worker(base: Path, prefect: PrefectServer, problems: int) -> Iterator[Place]:
    yield Place(base, prefect, problems, make=DashboardWorkshop, own_prefect=False)


@contextmanager
def _moto(base: Path, prefect: PrefectServer, problems: int) -> Iterator[Place]:
    server = moto(base / "moto")
    server.start()
    try:
        server.client().create_bucket(Bucket="chaos")
        yield Place(base, prefect, problems, "S3", s3=server)
    finally:
        server.kill()


@contextmanager
def _ceph(base: Path, prefect: PrefectServer, problems: int) -> Iterator[Place]:
    with ceph() as gateway:
        gateway.client().create_bucket(Bucket="chaos")
        victims = (OuterServer(gateway),)
        yield Place(base, prefect, problems, "S3", s3=gateway, more_victims=victims)


@contextmanager
def _vllm(base: Path, prefect: PrefectServer, problems: int) -> Iterator[Place]:
    server = vllm_server(base / "vllm")
    server.start()
    try:
        url = url_of(server)
        served = Served(url)
        yield Place(
            *(base, prefect, problems, "vLLM", homogeneous(url)),
            more_victims=(OuterServer(server, before=served.read),),
            served=served,
        )
        served.close()
    finally:
        server.kill()


PLACES: Mapping[str, Callable[[Path, PrefectServer, int], AbstractContextManager[Place]]] = {
    "local": _local,
    "worker": _worker,
    "vllm": _vllm,
    "s3": _moto,
    "ceph": _ceph,
}
