"""Counts the tokens that embedded models sample, whatever becomes of the process.

Python imports this module at its start where this folder is on PYTHONPATH. Each sampled token is
one byte at the end of the file that CORD_CHAOS_TOKENS names: what `kill -9` cannot take back.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

WATCHED = "cord.engines.embedded.writing"


class _Watching:
    """Finds the watched module as usual, and counts in it once it is there."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != WATCHED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = spec and spec.loader
        execute = loader.exec_module

        def exec_and_count(module: Any) -> None:
            execute(module)
            _count(module.Writing)

        loader.exec_module = exec_and_count
        return spec


def _count(writing: Any) -> None:
    file = os.open(os.environ["CORD_CHAOS_TOKENS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    add = writing.add

    def counted(self: Any, token: int) -> Any:
        os.write(file, b".")
        return add(self, token)

    writing.add = counted


if "CORD_CHAOS_TOKENS" in os.environ:
    sys.meta_path.insert(0, _Watching())
