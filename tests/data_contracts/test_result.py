from __future__ import annotations

import json

from data_contracts.result import Check, ContractResult

HELD = Check("question_given", "question", "every record has its question", True, "in all 9 rows")
WARNED = Check("question_length", "question", "none is long", False, "11", 1, ("p1",), "warn")
FAILED = Check(
    "score_in_range", "score", "at most 1", False, "2 to 3", 6, ("p2", "p3"), remedy="look there"
)


def test_a_failed_check_breaks_the_contract_and_a_warning_does_not() -> None:
    assert ContractResult.of("records", 9, (HELD, WARNED)).holds
    broken = ContractResult.of("records", 9, (HELD, WARNED, FAILED))
    assert not broken.holds
    assert (broken.failures, broken.warnings) == ((FAILED,), (WARNED,))


def test_a_contract_that_was_not_looked_at_in_full_does_not_hold() -> None:
    assert not ContractResult.of("records", 9, (HELD,), ("score_in_range",)).holds


def test_the_explanation_names_expectation_rows_and_remedy() -> None:
    text = ContractResult.of("records", 9, (HELD, FAILED)).explain()
    assert text.splitlines() == [
        "The contract `records` does not hold: 1 of 2 expectations failed on 9 rows.",
        "  FAILED score_in_range (score)",
        "    must hold: at most 1",
        "    found:     2 to 3",
        "    where:     p2, p3, ...",
        "    to do:     look there",
    ]


def test_a_held_contract_is_one_line() -> None:
    held = ContractResult.of("problems", 1, (HELD,))
    assert held.explain() == "The contract `problems` holds: 1 expectation on 1 row."


def test_json_carries_every_field_in_plain_types() -> None:
    stored = json.loads(json.dumps(ContractResult.of("records", 9, (FAILED,), ("x",)).to_json()))
    assert stored["contract"] == "records" and stored["holds"] is False
    assert stored["rows"] == 9 and stored["skipped"] == ["x"]
    assert stored["checks"] == [
        {
            "expectation": "score_in_range",
            "field": "score",
            "sentence": "at most 1",
            "holds": False,
            "observed": "2 to 3",
            "failed_rows": 6,
            "examples": ["p2", "p3"],
            "severity": "stop",
            "remedy": "look there",
        }
    ]


def test_control_characters_from_data_do_not_reach_the_terminal() -> None:
    odd = Check("e", "f", "s", False, "o", 1, ("p1\x1b[2J\nFAILED fake",))
    text = ContractResult.of("records", 1, (odd,)).explain()
    assert "\x1b" not in text and len(text.splitlines()) == 5


def test_a_stored_result_is_read_again_as_it_was() -> None:
    result = ContractResult.of("records", 9, (HELD, WARNED, FAILED), ("x",))
    assert ContractResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_further_checks_count_as_the_others_do() -> None:
    held = ContractResult.of("records", 9, (HELD,))
    assert held.joined([WARNED]).holds and not held.joined([FAILED]).holds
    assert held.joined([WARNED]).checks == (HELD, WARNED)
