"""`cord` as a process that begins where its imports end.

Most of the time of a short command goes into importing torch, transformers, datasets and Great
Expectations. `multiprocessing`'s fork server does that once for a test session; a command is then a
fork of it: a process and session of its own, with its own folder, environment, output, exit code.

Prefect reads the environment when it is imported, so it never is before the fork. Forks share one
seed of `hash`: that it makes no difference to the bytes, runs of `Factory.start` prove
(`flows/test_refresh.py`, `flows/test_resume_ways.py`).
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTED = [
    "flows.command_line.commands",
    "flows.launch",
    "cord.engines.embedded.engine",
    "cord.engines.vllm.engine",
    "cord.inspection.mending",
    "cord.intake",
    "cord.lake.tables.query",
    "data_contracts.records",
    "datasets",
    "great_expectations",
]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(IMPORTED)


def run_cord(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> tuple[int, str, str]:
    """Run `cord` to its end: its exit code, standard output and standard error.

    Raises `TimeoutError` after `timeout_s` and kills it."""
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said, "out"), Path(said, "err")
        given = (list(arguments), str(folder), dict(environment), str(out), str(err))
        process = _FORKS.Process(target=_cord, args=given)
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            raise TimeoutError(f"cord {' '.join(arguments)}: {err.read_text()[-2000:]}")
        return process.exitcode, out.read_text(), err.read_text()


def _cord(
    arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str
) -> None:
    """The command, in the fork."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cord", *arguments]
    missing = [name for name in IMPORTED if name not in sys.modules]
    assert not missing, f"the fork server could not import {missing}"
    assert "prefect" not in sys.modules, "it would have read another environment"
    from flows import prefect_settings
    from flows.command_line import main

    prefect_settings.apply()
    try:
        main()
    finally:  # what the interpreter does when a process ends, and multiprocessing leaves out
        threading._shutdown()
        atexit._run_exitfuncs()
