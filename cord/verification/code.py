r"""Answers that are programs: the stated Python program is run against the problem's tests.

The reference is the tests, in one of two forms. Python: statements that raise where the program is
wrong (`assert double(2) == 4`), run behind it in its own namespace. JSON,
`[{"input": "2\n", "output": "4\n"}, ...]` or `{"inputs": [...], "outputs": [...]}`: the whole
program is run for each, reads `input` and must print `output` (white space at ends of lines aside).

The program is the last fenced code block behind the thinking, else what stands in the box, else the
whole answer where it is one. It runs confined (`cord.verification.confined`): standard library
only, no network, no further processes, no files written, limits on time, memory and output.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cord.answers import stated_answer
from cord.errors import CordError
from cord.prompts import THINK_CLOSE
from cord.types import Verdict
from cord.verification.math import shown

MOST_CHARACTERS = 1_000_000
MOST_OUTPUT = 1 << 20
MOST_TESTS = 1_000
_REPORT = 4_096
_OUT_OF_TIME = "the program and its tests did not end within their time"
_FENCE = re.compile(r"^[ \t]{0,3}```[ \t]*(\w*)[^\n`]*\n(.*?)^[ \t]{0,3}```", re.M | re.S)
_LOOKS_LIKE_CODE = re.compile(
    r"^[ \t]{0,8}(?:def |class |import |from \w+ import |print\(|\w+[ \t]{0,8}=)", re.M
)
_LANGUAGES = ("", "python", "py", "python3")
_HARNESS = str(Path(__file__).with_name("confined.py"))


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a program that reads and prints."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    passed: bool
    reason: str = ""
    """Why not, as a person would say it."""
    output: str = ""
    sealed: bool = True
    unjudged: bool = False
    """What was met is no fault of the program for certain: its time, or tests that are none."""


def judge(response: str, reference: str, time_limit_s: float, memory_mb: int = 512) -> Verdict:
    """Whether the program that `response` states passes the tests `reference`; blocks for at most
    `time_limit_s` seconds. Raises `CordError` where the system cannot confine programs."""
    tests = read_tests(reference)
    if isinstance(tests, str) and not tests.strip():
        return Verdict("undecided", "none", "there are no tests to run the program against")
    program = find_program(response)
    if program is None:
        return Verdict("wrong", "none", "no program was stated")
    if len(program) > MOST_CHARACTERS:
        return Verdict("wrong", "tests", f"a program of {len(program):,} characters is none")
    deadline = time.monotonic() + time_limit_s
    if isinstance(tests, str):
        ran = run(program, tests, "", deadline, memory_mb)
        return _verdict(ran, "all tests passed")
    for number, case in enumerate(tests, start=1):
        ran = run(program, "", case.input, deadline, memory_mb)
        if not ran.passed:
            return _verdict(ran, "", f"test {number} of {len(tests)}: ")
        if _lines(ran.output) != _lines(case.output):
            said = f"printed {shown(ran.output)}, not {shown(case.output)}"
            return Verdict("wrong", "tests", f"test {number} of {len(tests)}: the program {said}")
    return Verdict("correct", "tests", f"all {len(tests)} tests passed")


def _verdict(ran: Ran, passed: str, place: str = "") -> Verdict:
    if not ran.sealed:
        raise CordError(
            f"verify: this system cannot confine a program ({ran.reason}), and cord runs none "
            "unconfined; domain code needs Linux on x86-64 with seccomp"
        )
    if ran.passed:
        return Verdict("correct", "tests", passed)
    if ran.unjudged:
        return Verdict("undecided", "tests", place + ran.reason)
    return Verdict("wrong", "tests", place + ran.reason)


def read_tests(reference: str) -> str | tuple[Case, ...]:
    """Tests in either form; "" where there are none."""
    if not reference.lstrip().startswith(("[", "{")):
        return reference
    try:
        told = json.loads(reference)
        if isinstance(told, dict):
            pairs = list(zip(told["inputs"], told["outputs"], strict=True))
        else:
            pairs = [(case["input"], case["output"]) for case in told]
    except (ValueError, RecursionError, TypeError, KeyError):
        return reference
    if not pairs or len(pairs) > MOST_TESTS:
        return ""
    return tuple(Case(_text(i), _text(o)) for i, o in pairs)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def find_program(response: str) -> str | None:
    """The stated program, or None."""
    _, _, closing = response.rpartition(THINK_CLOSE)
    blocks = [body for name, body in _FENCE.findall(closing) if name.lower() in _LANGUAGES]
    if blocks:
        return str(blocks[-1])
    boxed = stated_answer(closing)
    if boxed is not None and _LOOKS_LIKE_CODE.search(boxed):
        return boxed
    whole = "```" not in closing and _LOOKS_LIKE_CODE.search(closing) is not None
    return closing if whole else None


def _lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.rstrip().split("\n")]


def run(program: str, tests: str, given: str, deadline: float, memory_mb: int) -> Ran:
    """Run a program confined, with `tests` behind it, or with `given` to read where there are
    none."""
    token = secrets.token_hex(16)
    spec = {
        "program": program,
        "tests": tests,
        "token": token,
        "memory_mb": memory_mb,
        "seconds": max(1.0, deadline - time.monotonic()),
    }
    report_at, write_at = os.pipe()
    with (
        tempfile.TemporaryDirectory(prefix="cord-program-") as folder,
        tempfile.TemporaryFile() as spec_file,
        tempfile.TemporaryFile() as input_file,
        os.fdopen(report_at, "rb", buffering=0) as report,
    ):
        for file, content in ((spec_file, json.dumps(spec)), (input_file, given)):
            file.write(content.encode("utf-8", "replace"))
            file.seek(0)
        spec_at = spec_file.fileno()
        try:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-s", "-P", "-S", "-B", _HARNESS, str(spec_at), str(write_at)],
                stdin=input_file,
                stdout=subprocess.DEVNULL if tests else subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
                pass_fds=(spec_at, write_at),
                start_new_session=True,
            )
        finally:
            os.close(write_at)
        try:
            output, told, over = _read(process.stdout, report, deadline)
        finally:
            _end(process)
    if over:
        return Ran(False, over, unjudged=over == _OUT_OF_TIME)
    if told == f"passed {token}":
        return Ran(True, output=output)
    kind, _, reason = told.partition(" ")
    if kind == "unsealed":
        return Ran(False, reason, sealed=False)
    if kind == "failed":
        return Ran(False, reason, unjudged=reason.startswith("the tests are no Python"))
    return Ran(False, f"the program broke off before its end ({_ending(process.returncode)})")


def _read(output: IO[bytes] | None, report: IO[bytes], deadline: float) -> tuple[str, str, str]:
    """(output, report, what limit was met) once both are closed, or a limit is met."""
    kept: dict[IO[bytes], bytearray] = {report: bytearray()}
    if output is not None:
        kept[output] = bytearray()
    most = {report: _REPORT, output: MOST_OUTPUT}
    over = ""
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and not over:
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                over = _OUT_OF_TIME
            for key, _ in ready:
                pipe = key.fileobj  # type: ignore[assignment]
                received = os.read(key.fd, 65_536)
                if not received:
                    selector.unregister(pipe)
                kept[pipe] += received
                if len(kept[pipe]) > most[pipe]:
                    over = f"the program printed more than {most[pipe]:,} bytes"
    said = kept[output].decode("utf-8", "replace") if output is not None else ""
    return said, kept[report].decode("utf-8", "replace"), over


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
