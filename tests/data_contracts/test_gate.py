"""Great Expectations as we use it: quiet, lazy, safe in threads, and never passing by accident."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data_contracts.expectations import between, every, rows
from data_contracts.gate import gate


def test_an_expectation_that_cannot_be_evaluated_does_not_hold() -> None:
    lost, kept = every("lost", "f", "it is there"), between("kept", "score", "it is", least=0)
    checks = gate("suite", {"score": np.array([0.5])}, (lost, kept))
    assert [(check.expectation, check.holds) for check in checks] == [
        ("lost", False),
        ("kept", True),
    ]
    assert "could not be evaluated" in checks[0].observed and "lost" in checks[0].observed


def test_a_nan_is_passed_over_by_bounds() -> None:
    (check,) = gate(
        "suite", {"score": np.array([np.nan, 2.0])}, [between("s", "score", "", most=1)], str
    )
    assert (check.failed_rows, check.examples) == (1, ("1",))


def test_a_bound_itself_is_within_unless_it_must_be_above() -> None:
    zero = {"score": np.array([0.0])}
    least, above = (between("s", "score", "", least=0, above=above) for above in (False, True))
    assert gate("suite", zero, [least])[0].holds
    assert not gate("suite", zero, [above])[0].holds


def test_nothing_is_shown_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    gate("suite", {"score": np.array([0.5])}, [between("s", "score", "", least=0)])
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_gates_in_several_threads_do_not_mix_their_rows() -> None:
    def failed(size: int) -> int:
        checks = gate("suite", {"m": np.zeros(size)}, [between("m", "m", "", least=1)], str)
        return checks[0].failed_rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(failed, range(1, 9))) == list(range(1, 9))


def test_the_rows_of_a_table_are_counted() -> None:
    (check,) = gate("suite", {"m": np.zeros(3)}, [rows("enough", "4 rows", least=4)])
    assert (check.holds, check.observed) == (False, "3")


def test_most_rows_may_be_enough_and_those_that_tell_nothing_do_not_count() -> None:
    values = {"m": np.array([1.0, 1, 1, 0, np.nan, np.nan])}
    (check,) = gate("suite", values, [every("m", "m", "", mostly=0.75)], str)
    assert check.holds and check.examples == ("3",)
    assert check.observed == "broken in 1 of the 4 rows of 6 that tell"
    (strict,) = gate("suite", values, [every("m", "m", "", mostly=0.76)], str)
    assert not strict.holds


ALONE = """
import socket, sys
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.socket.connect_ex = refuse
import data_contracts.problems, data_contracts.records
assert "great_expectations" not in sys.modules, "imported before it is needed"
assert "pandas" not in sys.modules, "imported before it is needed"
result = data_contracts.problems.check_problems(
    data_contracts.problems.PROBLEM_SCHEMA.empty_table())
assert [check.expectation for check in result.failures] == ["enough_problems"]
"""


@pytest.mark.slow
def test_it_is_imported_late_leaves_no_files_and_opens_no_connection(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", ALONE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
