"""What models do wrong, end to end through the search: it costs a proposal, or one problem."""

from collections.abc import Callable

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.errors import ContextTooLong, EngineError, EngineRefused, EngineUnreachable
from cord.recipe import SearchSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem, Quarantined

PROBLEMS = [Problem(f"p{n}", f"question {n}", "0") for n in range(4)]
BAD = PROBLEMS[2]
LOOP = " and then again we see that" * 60
Say = Callable[[ProposalRequest], str]


def well(request: ProposalRequest) -> str:
    return " we add\n### Step 2." if not request.steps else " so\n</think>\n\n\\boxed{0}"


def only_on_the_bad_one(say: Say) -> Say:
    return lambda request: say(request) if request.question == BAD.question else well(request)


async def decode_all(
    *engines: ScriptedEngine, go_on_without_lost: bool = False
) -> dict[str, Decoding | Quarantined]:
    ended = decode_problems(
        PROBLEMS,
        [Seat(f"t{n}", engine, 0.6) for n, engine in enumerate(engines)],
        PredictivePerplexity(engines[0]),
        SearchSettings(width=2, max_steps=6, max_step_tokens=200),
        7,
        in_flight=4,
        go_on_without_lost=go_on_without_lost,
    )
    done = [one async for one in ended]
    return {one.problem.id if isinstance(one, Decoding) else one.problem_id: one for one in done}


def raising(error: Exception) -> Say:
    def say(request: ProposalRequest) -> str:
        raise error

    return say


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (lambda request: "", "an empty step"),
        (lambda request: " \n\n### Step 2.", "an empty step"),
        (lambda request: LOOP, "a repetition loop"),
        (lambda request: "</think>\n\n\\boxed{0}", "closed its thinking before any step"),
        (raising(ContextTooLong("4000 tokens do not fit")), "4000 tokens do not fit"),
        (raising(EngineError("failed at one request (8 tries)")), r"failed at one request"),
    ],
)
async def test_what_every_teacher_does_wrong_sets_that_problem_aside_and_the_rest_goes_on(
    say: Say, reason: str
) -> None:
    done = await decode_all(*(ScriptedEngine(only_on_the_bad_one(say)) for _ in range(2)))
    aside = done.pop(BAD.id)
    assert isinstance(aside, Quarantined) and reason in aside.reason
    assert all(isinstance(one, Decoding) and one.trajectories[0].finished for one in done.values())
    assert len(done) == 3


@pytest.mark.parametrize("say", [lambda request: "", lambda request: LOOP])
async def test_what_one_teacher_does_wrong_costs_its_proposals_alone(say: Say) -> None:
    done = await decode_all(ScriptedEngine(well), ScriptedEngine(say))
    for one in done.values():
        assert isinstance(one, Decoding) and one.trajectories[0].finished
        assert {who for decided in one.rounds for who, _ in decided.rejected} == {"t1"}
        assert one.costs["t1"].tokens > 0 or say(None) == "", "what was thrown away is counted"


async def test_a_step_that_never_stops_is_cut_and_goes_on_until_the_search_ends() -> None:
    def endless(request: ProposalRequest) -> str:
        return " " + " ".join(f"w{request.seed}x{n}" for n in range(10_000))

    done = await decode_all(*(ScriptedEngine(only_on_the_bad_one(endless)) for _ in range(2)))
    cut = done[BAD.id]
    assert isinstance(cut, Decoding) and len(cut.rounds) == 6
    for trajectory in cut.trajectories:
        assert not trajectory.finished and trajectory.tokens == 6 * 200
        assert trajectory.text.count("### Step") == 1, "one long step, in pieces"


@pytest.mark.parametrize("error", [EngineRefused("wrong key"), EngineUnreachable("away")])
async def test_what_any_problem_would_meet_ends_the_shard_and_sets_nothing_aside(
    error: EngineError,
) -> None:
    with pytest.raises(type(error), match=str(error)):
        await decode_all(ScriptedEngine(only_on_the_bad_one(raising(error))))


async def test_without_a_lost_teacher_the_rounds_go_on_and_say_so() -> None:
    lost = ScriptedEngine(only_on_the_bad_one(raising(EngineUnreachable("away"))))
    done = await decode_all(ScriptedEngine(well), lost, go_on_without_lost=True)
    missing = {name: one.missing for name, one in done.items() if isinstance(one, Decoding)}
    assert missing == {"p0": (), "p1": (), "p2": ("t1",), "p3": ()}


async def test_a_lost_meta_prover_is_never_gone_on_without() -> None:
    class Scoreless(ScriptedEngine):
        async def answer_logprobs(self, request: AnswerRequest) -> list[tuple[float, ...]]:
            raise EngineUnreachable("the scorer is away")

    with pytest.raises(EngineUnreachable, match="the scorer is away"):
        await decode_all(Scoreless(well), ScriptedEngine(well), go_on_without_lost=True)


async def test_when_all_teachers_are_lost_nobody_goes_on() -> None:
    class Scoring(ScriptedEngine):
        async def propose(self, request: ProposalRequest) -> Proposal:
            raise EngineUnreachable("away")

    with pytest.raises(EngineUnreachable, match="every teacher is away"):
        await decode_all(Scoring(), Scoring(), go_on_without_lost=True)
