"""A killed run goes on behind the last decided round of every problem, and pays for none twice."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from factory import Factory

from cord.journal import read_segments
from cord.lake import open_lake
from cord.lake.runs.run import require_run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journal")]  # who shares `killed`


def decode_slowly(factory: Factory, **changes: object) -> None:
    """Enough problems, few at a time, that a kill always comes in the midst of decoding."""
    factory.write_problems(24)
    run = {"seed": 7, "shards": 4, "workers": 2, "in_flight": 4, "retries": 1}
    factory.write_recipe(run=run, **changes)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, prefect_server: dict[str, str]) -> Path:
    """The lake of a run that was killed when twenty segments were in its journal; copy it."""
    folder = tmp_path_factory.mktemp("killed")
    lake = folder / "lake"
    factory = Factory(folder, {**prefect_server, "CORD_LAKE": str(lake)}, str(lake))
    decode_slowly(factory)
    process = factory.start("run", "recipe.yaml", "--run-id", "killed")
    deadline = time.monotonic() + 120
    while len(list(lake.glob("journals/*/*/*/*.jsonl"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    return lake


def proposals_in_journal(factory: Factory) -> int:
    lake = open_lake(factory.lake)
    keys = [key for key in lake.store.list("journals/") if key.endswith(".jsonl")]
    reading = read_segments(((key, lake.store.read(key) or b"") for key in keys), None)
    assert not reading.faults
    return sum(
        cost.proposals
        for chain in reading.chains.values()
        for decided in chain.progress.rounds
        for _, cost in decided.costs
    )


def asked(summary: dict[str, object]) -> int:
    """Proposals that processes which came to their end have asked for."""
    return sum(share["requests"] for share in summary["shares"])  # type: ignore[attr-defined]


def paid(summary: dict[str, object]) -> int:
    return sum(share["proposals"] for share in summary["shares"])  # type: ignore[attr-defined]


def test_no_decided_round_is_decoded_again_and_none_goes_on_with_other_models(
    factory: Factory, killed: Path
) -> None:
    decode_slowly(factory)
    shutil.copytree(killed, factory.lake)
    kept = proposals_in_journal(factory)
    assert kept > 0
    lake = open_lake(factory.lake)
    recipe = lake.store.read("runs/killed/recipe.json")
    assert recipe is not None
    # As a server would that serves other weights under the same name.
    lake.store.write("runs/killed/recipe.json", recipe.replace(b"cord:cyd", b"cord:ada"))
    refused = factory.cord("resume", "killed")
    assert refused.code == 2, refused.err
    assert "the models of run killed have changed" in refused.err
    assert "Traceback" not in refused.err
    lake.store.write("runs/killed/recipe.json", recipe)

    resumed = factory.cord("resume", "killed", "--json")
    assert resumed.code == 0, resumed.err
    assert "were decided before and are taken up" in resumed.err
    peace = factory.run("--lake", str(factory.folder / "peace")).json
    assert paid(resumed.json) == paid(peace) == asked(peace)
    # Shards that were committed before the kill had forgotten their journal: what they had asked
    # for is in no document, as that of a killed process. All else is accounted for exactly.
    committed = paid(resumed.json) - asked(resumed.json) - kept
    assert committed >= 0
    if committed == 0:
        assert asked(resumed.json) == paid(peace) - kept
    assert not lake.store.list("journals/")
    assert not [key for key in lake.store.list("runs/killed/shards/") if key.endswith("0.json")]
    assert require_run(lake, "killed").reproducible is True


def test_another_seed_adopts_nothing_and_another_contract_all_that_was_decided(
    factory: Factory, killed: Path
) -> None:
    decode_slowly(factory)
    shutil.copytree(killed, factory.lake)
    kept = proposals_in_journal(factory)
    other = factory.run("--run-id", "seed", "--seed", "8")
    assert other.code == 0, other.err
    assert "taken up" not in other.err
    assert asked(other.json) == paid(other.json)

    decode_slowly(factory, contract={"min_correct": 0.01})
    other = factory.run("--run-id", "contract")
    assert other.code == 0, other.err
    assert "were decided by other runs and are taken up" in other.err
    assert asked(other.json) + kept <= paid(other.json)
