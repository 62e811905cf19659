"""What decoding cost is known for every problem, also for those that came to nothing."""

from __future__ import annotations

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord import attempts
from cord.engines import Proposal, ProposalRequest
from cord.errors import EngineError
from cord.lake.tables.rows import cost_rows
from cord.ledger import Ledger
from cord.recipe import SearchSettings
from cord.scheduler import Silent, decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem, Quarantined


class FailsLater(ScriptedEngine):
    """Writes one step of every problem, then fails at the second one of `question 1`."""

    error: Exception = EngineError("it cannot be")

    async def propose(self, request: ProposalRequest) -> Proposal:
        if request.steps and request.question == "question 1":
            raise self.error
        return await super().propose(request)


def write(request: ProposalRequest) -> str:
    return " one\n### Step" if not request.steps else " so\n</think>\n\n\\boxed{0}"


@pytest.mark.parametrize("error", [EngineError("it cannot be"), KeyError("a bug")])
async def test_what_was_spent_on_a_problem_that_could_not_be_decoded_is_known(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailsLater, "error", error)
    monkeypatch.setattr(attempts, "RETRY_S", 0.001)
    ledger = Ledger(Silent())
    problems = [Problem(f"p{i}", f"question {i}", "0") for i in range(3)]
    teachers = [Seat(name, FailsLater(write, name=name), 0.6) for name in ("ada", "ben")]
    criterion = PredictivePerplexity(ScriptedEngine())
    ended = decode_problems(
        problems, teachers, criterion, SearchSettings(width=1), 7, 3, ledger,
        retries=1,
    )  # fmt: skip
    done = [one async for one in ended]
    assert sum(isinstance(one, Quarantined) for one in done) == 1
    for one in done:
        if isinstance(one, Quarantined):
            spent = ledger.spent_on(one.problem_id)
            rows = cost_rows("r", one.problem_id, "k", spent)
            assert [row["teacher"] for row in rows] == ["ada", "ben"]
            assert all(row["proposals"] == 1 and row["tokens"] > 0 for row in rows)
            assert all(row["thrown_away_tokens"] == row["tokens"] for row in rows)
        else:
            assert isinstance(one, Decoding) and one.costs
            assert not ledger.spent_on(one.problem.id), "a decoded problem is forgotten"
