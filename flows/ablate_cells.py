"""The cells of a grid, one by one: run, unless the lake has it, and measured.

Several processes may go through one grid at the same time, on one machine or on many that share the
lake: each cell is a run, a run is held by its lease, and what another process holds is put off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cord.ablation.cells import Cell, base_of, cells_of
from cord.ablation.recipe import Ablation
from cord.errors import ContractBroken, CordError, RunHeld, RunLost
from cord.scheduler import Stopped
from flows.at_work import at_work
from flows.launch import prepare, start_servers
from flows.refresh import refresh
from tasks.board import ABLATION_LOG, BOARD
from tasks.measure import measure_cell

LOOK_AGAIN_S = 5.0
"""How often a cell that another process holds is looked at, when there is nothing else to do."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """Which of several processes this one is."""

    number: int = 0
    """From 0."""
    of: int = 1

    def turn(self, everything: Sequence[T]) -> list[T]:
        """All of it, begun where this process is furthest from the others."""
        begin = self.number * len(everything) // self.of
        return [*everything[begin:], *everything[:begin]]

    def part(self, everything: Sequence[T]) -> list[T]:
        """What this process does where nothing else keeps two from doing the same."""
        return list(everything[self.number :: self.of])


@dataclass
class Carried:
    """What came of the cells."""

    runs: dict[str, str] = field(default_factory=dict)
    """By VARIANT/SEED."""
    missing: list[str] = field(default_factory=list)
    """Cells that failed, each with its reason."""


def key_of(cell: Cell) -> str:
    """`greedy/2`."""
    return f"{cell.variant}/{cell.seed}"


def carry_out_cells(lake: str, ablation: Ablation, folder: Path, share: Share) -> Carried:
    """Come back when every cell is done or has failed, whoever did it.

    Raises `Stopped`, and `RunLost` where another process has taken a cell over."""
    cells, base = list(cells_of(ablation)), base_of(ablation, folder)
    places = {key_of(cell): place for place, cell in enumerate(cells, start=1)}
    carried = Carried()
    waiting, held = deque(share.turn(cells)), 0
    while waiting:
        cell = waiting.popleft()
        BOARD.heading = f"cell {places[key_of(cell)]} of {len(cells)} ({cell.title})"
        try:
            carried.runs[key_of(cell)] = _cell(lake, cell, base, ablation)
            held = 0
        except RunHeld:
            waiting.append(cell)
            held += 1
            if held >= len(waiting):
                BOARD.enter("another process is at it")
                BOARD.stop.wait(LOOK_AGAIN_S)
        except (Stopped, RunLost):
            raise
        except CordError as error:
            carried.missing.append(f"{cell.title}: {error}")
            ABLATION_LOG.warning("%s failed: %s", BOARD.heading, error)
    return carried


def _cell(lake: str, cell: Cell, base: Path, ablation: Ablation) -> str:
    """Run and measure one cell; returns its run."""
    if BOARD.stop.is_set():
        raise Stopped("stopped on request")
    BOARD.enter("naming the run")
    launch = prepare(base, lake, None, cell.changes)
    if launch.hold is not None:
        with closing(launch.hold), at_work(launch.lake, launch.run_id):
            start_servers(launch)
            # What is refused for its contract is measured all the same.
            state = refresh(lake, launch.run_id, return_state=True)
            error = state.result(raise_on_failure=False)
            if isinstance(error, BaseException) and not isinstance(error, ContractBroken):
                raise error
    measure_cell(lake, launch.run_id, ablation.fidelity is not None)
    return launch.run_id
