"""The door, on real processes."""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cord.errors import CordError
from cord.verification import Verifier, verify

LIMIT_S = 1.5
POWERS = "9^{9^{9^{9}}}"


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(time_limit_s=LIMIT_S, workers=2) as verifier:
        verifier.verify("math", "0.5", "1/2")
        yield verifier


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        ("0.5", r"\frac{1}{2}"),
        (r"\boxed{\frac{1}{2}}", "$0.5$"),
        ("1,234", "1234"),
        (r"3\sqrt{13}", r"\sqrt{117}"),
        ("x=5", "5"),
        ("18 dollars", "$18"),
        ("x**2", "x^2"),
        ("1.5e-3", "0.0015"),
        ("(x+1)^2", "x^2+2x+1"),
        (r"\{1,2\}", r"\{2,1\}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"),
    ],
)
def test_equal_values_are_correct(verifier: Verifier, response: str, reference: str) -> None:
    verdict = verifier.verify("math", response, reference)
    assert (verdict.outcome, verdict.method) == ("correct", "math-verify")


@pytest.mark.parametrize(
    ("response", "reference"),
    [("4", "5"), ("(0,1]", "[0,1]"), ("(2,1)", "(1,2)"), ("0.33", "1/3"), ("no", "yes")],
)
def test_other_values_are_wrong_with_both_in_the_reason(
    verifier: Verifier, response: str, reference: str
) -> None:
    verdict = verifier.verify("math", response, reference)
    assert verdict.outcome == "wrong"
    assert response in verdict.reason
    assert reference in verdict.reason


def test_a_response_without_an_answer_is_wrong(verifier: Verifier) -> None:
    verdict = verifier.verify("math", "First we think.\nThen we stop at 4", "4")
    assert (verdict.outcome, verdict.reason) == ("wrong", "no answer was stated")


def test_a_missing_reference_is_undecided(verifier: Verifier) -> None:
    assert verifier.verify("math", "4", " ").outcome == "undecided"


def test_one_of_several_spellings_is_enough(verifier: Verifier) -> None:
    assert verifier.verify("math", "0.5", ("7", r"\frac{1}{2}")).outcome == "correct"
    assert verifier.verify("math", "0.5", ("7", "8")).outcome == "wrong"
    assert verifier.verify("math", "0.5", ("7", POWERS)).outcome == "undecided"


@pytest.mark.parametrize(
    "answer",
    [POWERS, "10000000!", "(" * 3000 + "1" + ")" * 3000, r"\sqrt{" * 800 + "2" + "}" * 800],
    ids=lambda answer: answer[:8],
)
def test_a_hostile_answer_costs_its_own_limit(verifier: Verifier, answer: str) -> None:
    begin = time.monotonic()
    assert verifier.verify("math", answer, "4").outcome == "undecided"
    assert time.monotonic() - begin < LIMIT_S + 5  # a new process may have to start first
    assert verifier.verify("math", "0.25", "1/4").outcome == "correct"


def test_a_million_digits_cost_nothing() -> None:
    begin = time.monotonic()
    verdict = verify("math", "\\boxed{" + "7" * 1_000_000 + "}", "4")
    assert verdict.outcome == "undecided"
    assert "1,000,000 characters" in verdict.reason
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("answer", ["x\x00y", "\ud800", "a\nb", "\u2028", '"}\n{"', "{" * 50])
def test_strange_characters_do_not_break_the_pipe(verifier: Verifier, answer: str) -> None:
    assert verifier.verify("math", f"\\boxed{{{answer}}}", "4").outcome in ("wrong", "undecided")
    assert verifier.verify("math", "0.25", "1/4").outcome == "correct"


def test_many_threads_ask_at_once_and_each_gets_its_own_verdict(verifier: Verifier) -> None:
    pairs = [(f"{n}.0", str(n + n % 2)) for n in range(1, 60)]

    def judged(pair: tuple[str, str]) -> bool:
        return verifier.verify("math", *pair).outcome == "correct"

    with ThreadPoolExecutor(16) as pool:
        hostile = pool.submit(verifier.verify, "math", POWERS, "4")
        assert list(pool.map(judged, pairs)) == [n % 2 == 0 for n in range(1, 60)]
    assert hostile.result().outcome == "undecided"


def test_a_process_that_dies_is_replaced() -> None:
    with Verifier(workers=1) as verifier:
        verifier.verify("math", "0.5", "1/2")
        (process,) = verifier._idle
        os.kill(process._popen.pid, signal.SIGKILL)
        time.sleep(0.2)
        assert verifier.verify("math", "0.5", "1/2").outcome == "correct"


def test_a_process_that_is_killed_over_an_answer_costs_that_answer_nothing() -> None:
    with Verifier(workers=1) as verifier, ThreadPoolExecutor(1) as pool:
        verifier.verify("math", "0.5", "1/2")
        (process,) = verifier._idle
        os.kill(process._popen.pid, signal.SIGSTOP)  # it takes the question and says nothing
        verdict = pool.submit(verifier.verify, "math", "0.25", "1/4")
        while verifier._idle:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(process._popen.pid, signal.SIGKILL)
        assert verdict.result().outcome == "correct"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux only")
def test_a_process_may_use_only_so_much_memory() -> None:
    with Verifier(workers=1, memory_limit_mb=700) as verifier:
        verifier.verify("math", "0.5", "1/2")
        (process,) = verifier._idle
        limit = resource.prlimit(process._popen.pid, resource.RLIMIT_AS)
    assert limit == (700 << 20, 700 << 20)


def test_closing_ends_the_processes() -> None:
    verifier = Verifier(workers=2)
    verifier.verify("math", "0.5", "1/2")
    processes = list(verifier._idle)
    verifier.close()
    assert processes
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(CordError, match="closed"):
        verifier.verify("math", "0.5", "1/2")


def test_the_shared_door_works_outside_the_main_thread() -> None:
    outcomes: list[str] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(verify("math", "0.5", r"\frac{1}{2}").outcome)
    )
    thread.start()
    thread.join()
    assert outcomes == ["correct"]


def test_an_unknown_domain_is_refused_with_what_there_is() -> None:
    with pytest.raises(CordError, match="no domain 'chemistry'; there is: math"):
        verify("chemistry", "4", "4")
