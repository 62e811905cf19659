"""What the library logs for the person who runs it, said while it happens.

Prefect makes of logging what it likes; these few sentences come through whatever that is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cord.engines.managed.keeper import KEEPERS_LOG
from cord.lake.runs.journals import JOURNALS_LOG
from tasks.board import ABLATION_LOG, DASHBOARD_LOG

TOLD = (KEEPERS_LOG, JOURNALS_LOG, DASHBOARD_LOG, ABLATION_LOG)
"""A server died and is started again; rounds of an earlier try are taken up; the dashboard is away;
a cell of a grid failed.
"""


@contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, `say` hears what is logged. One such block may stand within another:
    the outer one speaks."""
    if any(isinstance(handler, _Saying) for log in TOLD for handler in log.handlers):
        yield
        return
    saying = _Saying(say)
    levels = [(log, log.level) for log in TOLD]
    for log in TOLD:
        log.addHandler(saying)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for log, level in levels:
            log.removeHandler(saying)
            log.setLevel(level)


class _Saying(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(f"cord: {record.getMessage()}")
