"""More processes at one grid: what cord's own models cannot use of a machine alone, they do.

Each goes through the same cells as the process that started it (`flows.ablate_cells`) and trains
its part of the students. It is in a session of its own, so that Ctrl-C reaches only the first one,
and holds a pipe to it: when that closes, by whatever death, it stops gently.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from prefect.settings import get_current_settings

from cord.ablation.recipe import Ablation
from cord.errors import CordError
from cord.scheduler import Stopped
from flows.ablate_cells import Share, carry_out_cells
from flows.ablate_students import teach
from flows.at_work import LISTEN_EVERY_S, in_its_own_thread
from tasks.board import ABLATION_LOG, BOARD

STOPPED = 130
"""How a companion ends that was asked to stop."""


@dataclass(frozen=True)
class _Companion:
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    """Its standard error."""

    def ask_to_stop(self) -> None:
        """What it has done by then is in the lake."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> None:
        """Until it has ended."""
        self.process.wait()
        self.said.close()

    def told(self) -> str:
        """How it failed, in its own last words."""
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Companions:
    """The processes that work at the same grid as this one."""

    def __init__(self, companions: list[_Companion]) -> None:
        self._companions = companions

    def finish(self) -> None:
        """Wait until all have ended. What one leaves undone is for this process to do; why, is
        said. Raises `Stopped`."""
        for companion in self._companions:
            while companion.process.poll() is None:
                if BOARD.stop.wait(LISTEN_EVERY_S):
                    raise Stopped("stopped on request")
            if companion.process.returncode != 0:
                ABLATION_LOG.warning("a process of this grid failed: %s", companion.told())


@contextmanager
def companions(lake: str, ablation: Ablation, folder: Path) -> Iterator[Companions]:
    """While the block runs, `ablation.at_once` - 1 more processes are at this grid."""
    started: list[_Companion] = []
    try:
        shares = (Share(number, ablation.at_once) for number in range(1, ablation.at_once))
        started.extend(_start(lake, ablation, folder, share) for share in shares)
        yield Companions(started)
    finally:
        for companion in started:
            companion.ask_to_stop()
        for companion in started:
            companion.wait()


def _start(lake: str, ablation: Ablation, folder: Path, share: Share) -> _Companion:
    said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.ablate_companions"],
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=said,
        start_new_session=True,
        env={
            "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // share.of)),
            **os.environ,
            # The same Prefect server too, where it is this process's own.
            **get_current_settings().to_environment_variables(exclude_unset=True),
        },
    )
    asked = {
        "lake": lake,
        "ablation": ablation.model_dump(mode="json"),
        "folder": str(folder),
        "share": [share.number, share.of],
    }
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    process.stdin.flush()
    return _Companion(process, said)


def _work(asked: dict[str, Any]) -> None:
    lake, folder = str(asked["lake"]), Path(asked["folder"])
    ablation = Ablation.model_validate(asked["ablation"], strict=False)
    share = Share(*asked["share"])
    carried = carry_out_cells(lake, ablation, folder, share)
    if ablation.students is not None:
        teach(lake, ablation, folder, carried, share)


def _stop_with_parent() -> None:
    sys.stdin.buffer.read()
    BOARD.stop.set()


def main() -> None:
    """Carry out the share that standard input names, until that closes."""
    asked = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        in_its_own_thread(lambda: _work(asked))
    except Stopped:
        sys.exit(STOPPED)
    except CordError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
