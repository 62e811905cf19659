"""Programs against tests, confined: what they may not do costs them the verdict and nobody else."""

import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cord.verification import Rules, Verifier, verify
from cord.verification.code import find_program, judge, read_tests

TESTS = "assert double(2) == 4\nassert double(-1) == -2"
RIGHT = "def double(x):\n    return 2 * x"
LIMIT_S = 5.0
FORGED = """
import os
for at in range(3, 40):
    try:
        os.write(at, b"passed")
    except OSError:
        pass
os._exit(0)
"""


def stated(program: str, language: str = "python") -> str:
    return f"<think>\n### Step 1. Double it.\n</think>\n\n```{language}\n{program}\n```\n"


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        (RIGHT, "correct", "all tests passed"),
        (
            "def double(x):\n    return x",
            "wrong",
            "a test raised AssertionError in line 1",
        ),
        ("def double(x:", "wrong", "SyntaxError"),
        ("def triple(x):\n    return 3 * x", "wrong", "NameError"),
        ("import sys\nsys.exit(0)", "wrong", "ended the process before the tests"),
        ("import os\nos._exit(0)", "wrong", "broke off before its end (exit status 0)"),
        (FORGED, "wrong", "broke off"),
        ("def double(x):\n    return double(x)", "wrong", "RecursionError"),
    ],
)
def test_a_program_is_right_when_all_its_tests_pass(program, outcome, reason):
    verdict = judge(stated(program), TESTS, LIMIT_S)
    assert verdict.outcome == outcome, verdict
    assert reason in verdict.reason


ECHO = '[{"input": "2\\n", "output": "4\\n"}, {"input": "5", "output": "10"}]'


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        ("print(2 * int(input()))", "correct", "all 2 tests passed"),
        ("if __name__ == '__main__':\n    print(2 * int(input()), '')", "correct", "passed"),
        ("print(4)", "wrong", "test 2 of 2: the program printed '4', not '10'"),
        ("while True:\n    print('x' * 999)", "wrong", "printed more than 1,048,576 bytes"),
    ],
)
def test_a_program_that_reads_and_prints_is_run_for_each_input(program, outcome, reason):
    verdict = judge(stated(program), ECHO, LIMIT_S)
    assert verdict.outcome == outcome, verdict
    assert reason in verdict.reason


def test_what_does_not_end_costs_its_own_limit_and_is_undecided():
    begun = time.monotonic()
    with Verifier(time_limit_s=1.0) as verifier:
        verdict = verifier.verify("code", stated("while True:\n    pass"), TESTS)
    assert verdict.outcome == "undecided"
    assert "did not end within their time" in verdict.reason
    assert time.monotonic() - begun < 4


def test_memory_is_the_recipes():
    program = RIGHT + "\nroom = bytearray(200 << 20)"
    with Verifier(rules=Rules(program_memory_mb=128)) as verifier:
        assert "MemoryError" in verifier.verify("code", stated(program), TESTS).reason
    with Verifier(rules=Rules(program_memory_mb=512)) as verifier:
        assert verifier.verify("code", stated(program), TESTS).outcome == "correct"


@pytest.mark.parametrize(
    "deed",
    [
        "import os\nwhile True:\n    os.fork()",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.kill(os.getppid(), 9)",
        "import fcntl, os, socket\nfcntl.fcntl(socket.socketpair()[0], 8, os.getppid())",
        "open('left-behind', 'w')",
        "import os\nos.open('left-behind', os.O_CREAT | os.O_WRONLY)",
        "import os\nos.unlink(__import__('sys').executable)",
        "import os\nprint(open(f'/proc/{os.getppid()}/environ').read())",
        "import ctypes\nctypes.CDLL(None)",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ],
)
def test_a_program_computes_and_does_nothing_else(deed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORD_TEST_SECRET", "hush")
    verdict = judge(stated(f"{deed}\nraise SystemExit\n"), TESTS, LIMIT_S)
    assert verdict.outcome == "wrong", verdict
    assert re.search("PermissionError|Operation not permitted|not allowed", verdict.reason), verdict
    assert "hush" not in verdict.reason
    assert not list(tmp_path.iterdir())


def test_a_program_reaches_no_network_not_even_this_machine():
    asked = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        fetch = f"import urllib.request\nurllib.request.urlopen({url!r})"
        verdict = judge(stated(fetch), TESTS, LIMIT_S)
        server.socket.close()
    assert verdict.outcome == "wrong"
    assert "Operation not permitted" in verdict.reason or "Permission" in verdict.reason
    assert not asked.is_set()


def test_the_environment_and_its_secrets_are_not_passed_on(monkeypatch):
    monkeypatch.setenv("CORD_TEST_SECRET", "hush")
    program = RIGHT + "\nimport os\nassert 'CORD_TEST_SECRET' not in os.environ, os.environ"
    assert judge(stated(program), TESTS, LIMIT_S).outcome == "correct"


def test_threads_and_the_standard_library_are_there():
    program = """
import asyncio, collections, dataclasses, functools, heapq, itertools, json, math, re, threading
async def later(x):
    return 2 * x
def double(x):
    found = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(later(x))))
    thread.start()
    thread.join()
    return found[0]
"""
    assert judge(stated(program), TESTS, LIMIT_S).outcome == "correct"


def test_the_same_program_gives_the_same_verdict():
    program = "order = list({'a', 'b', 'c', 'd', 'e'})"
    outcomes = {judge(stated(program), "assert order[0] == 'a'", LIMIT_S).outcome for _ in range(6)}
    assert len(outcomes) == 1


def test_nothing_is_left_of_a_program(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = len(os.listdir("/proc/self/fd"))
    judge(stated("while True:\n    pass"), TESTS, 0.5)
    assert not list(Path(tmp_path).iterdir())
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\na = 1\n```\nBetter:\n```py\nb = 2\n```\n", "b = 2\n"),
        ("<think>\n```python\na = 1\n```\n</think>\n\n```\nb = 2\n```", "b = 2\n"),
        ("```python\na = 1\n```\nIt prints\n```text\n1\n```\n", "a = 1\n"),
        ("</think>\n\nThe final answer is \\boxed{def f(x): return x}", "def f(x): return x"),
        ("print(1)", "print(1)"),
        ("I cannot write one.", None),
        ("<think>\n```python\na = 1\n```\n</think>\n\nDone.", None),
    ],
)
def test_the_program_is_the_last_block_behind_the_thinking(response, program):
    assert find_program(response) == program


def test_what_cannot_be_judged_says_why():
    assert verify("code", "I cannot.", TESTS).reason == "no program was stated"
    assert verify("code", stated(RIGHT), " ").outcome == "undecided"
    verdict = judge(stated(RIGHT), "assert double(2 ==", LIMIT_S)
    assert verdict.outcome == "undecided"
    assert "the tests are no Python" in verdict.reason
    assert read_tests('{"inputs": ["1"], "outputs": ["2", "3"]}').startswith("{")
