"""What a server's log tells."""

from doubles.vllm_program import BEGIN, FAIL

from cord.engines.managed.log import phase_of, reason_in


def test_the_log_tells_how_far_a_start_has_come():
    lines = BEGIN.splitlines()
    said = [phase_of("\n".join(lines[: n + 1])) for n in range(len(lines))]
    assert said == ["starting up", "starting up", "loading weights", "loading weights, 3/14 files"]
    assert phase_of("") == "starting up"


def test_the_first_cause_of_a_failure_is_found_in_the_log():
    assert reason_in(BEGIN + FAIL).startswith("ValueError: No available memory for the cache")
    assert reason_in("vllm serve: error: unrecognized arguments: --nope\n") == (
        "vllm serve: error: unrecognized arguments: --nope"
    )
    assert reason_in(BEGIN) == ""
    told = reason_in("OSError: token hf_abcdef is wrong\n", {"HF_TOKEN": "hf_abcdef"})
    assert told == "OSError: token *** is wrong"
