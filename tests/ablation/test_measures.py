import asyncio

import pytest

from cord.ablation.measures import Measures, load_measures, measure, measures_key, save_measures
from cord.engines.embedded.engine import open_embedded
from cord.errors import LakeError
from cord.lake import open_lake
from cord.miniature.task import parse, steps
from cord.miniature.wording import ending
from cord.prompts import INSTRUCTIONS
from cord.records import Judged

QUESTION = "Start Ann 9; +5; *3. Start Bob 4; flip; +2"


def judged(text: str, outcome: str = "correct") -> Judged:
    return Judged(
        problem_id="p",
        rank=0,
        question=QUESTION,
        answer="27",
        text=text,
        teachers=("ada", "ben", "cyd", "ada"),
        steps=4,
        tokens=40,
        score=0.1,  # by whatever criterion: not what is measured
        run_id="r",
        key="k",
        finished=True,
        outcome=outcome,
        reason="",
    )


def test_it_is_measured_by_the_meta_prover_along_the_path():
    meta = open_embedded("cord:meta", instructions=INSTRUCTIONS)
    written = steps(parse(QUESTION))
    right = judged("".join(written) + ending("27"))
    lucky = [written[0].replace("=4", "=7"), "### Step 2. Ann\n\n7*3=2\n\n", *written[2:]]
    wrong = judged("".join(lucky) + ending("27"))
    rows = [(right, 100), (wrong, 100)]
    honest, luck = asyncio.run(measure(rows, meta, checks_steps=True))
    asyncio.run(meta.close())
    assert len(honest.path) == 5
    assert honest.score > 0.9
    assert (honest.faithful, luck.faithful) == (True, False)
    assert luck.path[1] < honest.path[1]  # the first step leads astray
    assert honest.correct and honest.tokens == 100


def test_measures_come_back_from_the_lake_and_damaged_ones_are_said(tmp_path):
    lake = open_lake(str(tmp_path / "lake"), create=True)
    assert load_measures(lake, "r") is None
    kept = Measures(problems=(), quarantined=2, seconds=0.5)
    save_measures(lake, "r", kept)
    assert load_measures(lake, "r") == kept
    lake.store.write(measures_key("r"), b"{}")
    with pytest.raises(LakeError, match="damaged"):
        load_measures(lake, "r")
