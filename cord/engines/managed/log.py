"""Reading vLLM's log: how far a start has come, and why one has failed.

A failed start prints hundreds of lines; the one that tells is the first cause's exception, which
stands somewhere before `Engine core initialization failed. See root cause above.`
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_TAIL_BYTES = 256 * 1024

_PHASES = (
    # (what the log says, what the user is told); the last line that matches counts.
    (re.compile(r"Starting vLLM (?:API )?server|Started server process"), "opening its door"),
    (re.compile(r"Capturing CUDA graphs?"), "capturing CUDA graphs"),
    (re.compile(r"KV cache size|Using \S+ KV cache layout"), "preparing the cache"),
    (re.compile(r"Dynamo bytecode transform|torch\.compile takes|Compiling a graph"), "compiling"),
    (re.compile(r"Model loading took|Loading weights took"), "measuring memory"),
    (re.compile(r"checkpoint shards:.*\| *(\d+/\d+)"), "loading weights, {} files"),
    (re.compile(r"Starting to load model|Loading weights"), "loading weights"),
    (re.compile(r"[Dd]ownloading |\.safetensors: +\d+%"), "downloading"),
    (re.compile(r"Initializing a V1 LLM engine|non-default args"), "starting up"),
)

_PREFIX = re.compile(
    r"^(?:\([^()]*pid=\d+\) ?)?(?:(?:ERROR|CRITICAL|WARNING|INFO) \d\d-\d\d [\d:]+ \[[^\]]*\] ?)?"
)
_TELLING = re.compile(
    r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt): .+"
    r"|^(?:Value|Assertion) error, .+|^(?:\S+: |\S+ serve: )error: .+|^(?:Killed|Bus error).*"
    r"|^ *Value error, .+"
)
_CONSEQUENCE = re.compile(
    r"See root cause|Engine ?core.*(?:initialization failed|died)|EngineDeadError|WorkerProc init"
    r"|validation errors? for|cancelled|Executor failed|CancelledError|KeyboardInterrupt"
    r"|resource_tracker"
)
_PORT_TAKEN = re.compile(r"address already in use", re.IGNORECASE)


def tail_of(log: Path) -> str:
    """The end of the log; "" while there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def phase_of(log: str) -> str:
    """What a server that is starting does just now."""
    for line in reversed(log.splitlines()):
        for pattern, said in _PHASES:
            if found := pattern.search(line):
                return said.format(*found.groups())
    return "starting up"


def port_was_taken(log: str) -> bool:
    """Whether it ended because somebody else listens on its port."""
    return bool(_PORT_TAKEN.search(log))


def reason_in(log: str, secrets_of: Mapping[str, str] | None = None) -> str:
    """The line that tells best why the server ended, "" when none does: at most 300 characters,
    without the values of such variables in the environment as are named like secrets."""
    lines = [_PREFIX.sub("", line).rstrip() for line in log.splitlines()]
    telling = [line for line in lines if _TELLING.search(line)]
    causes = [line for line in telling if not _CONSEQUENCE.search(line)] or telling
    # vLLM's worker tells first; what follows in the server itself repeats it or is less exact.
    if not causes:
        return ""
    line = causes[-1]
    line = re.sub(r" \[type=\w+, input_value=.*$", "", " ".join(line.split()))
    for name, value in (os.environ if secrets_of is None else secrets_of).items():
        if len(value) >= 6 and re.search(r"KEY|TOKEN|SECRET|PASSWORD", name, re.IGNORECASE):
            line = line.replace(value, "***")
    return line if len(line) <= 300 else line[:299] + "…"
