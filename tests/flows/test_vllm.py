"""A whole run whose models stand on a real vLLM server, through the command line."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factory import Factory, free_port

import cord.miniature
from cord.engines.embedded.engine import open_embedded
from cord.scoring.predictive import PredictivePerplexity
from cord.segmentation import segment
from cord.types import Problem, Step

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
KEY = "sk-never-to-be-written-down"


@pytest.fixture
def url(vllm_server: Callable[[Path], str]) -> str:
    """The one server of this file: the small meta-prover, which can also write."""
    return vllm_server(META)


def homogeneous(url: str) -> dict[str, Any]:
    """The paper's homogeneous setting: one model three times, and as its own meta-prover."""
    warmth = {"cool": 0.5, "mild": 0.6, "warm": 0.7}
    served = {"model": META.name, "url": url, "api_key_env": "VLLM_TEST_KEY"}
    teachers = [{"name": n, "temperature": t, **served} for n, t in warmth.items()]
    # What these weights solve is none of this file's business.
    return {"teachers": teachers, "meta_prover": "mild", "contract": {"min_records": 0}}


def test_three_homogeneous_teachers_on_one_server(factory: Factory, url: str) -> None:
    factory.write_recipe(**homogeneous(url))
    factory.write_problems(6)
    factory.environment["VLLM_TEST_KEY"] = KEY
    checked = factory.cord("check", "recipe.yaml", "--json")
    assert checked.code == 0, checked.err
    engines = checked.json["engines"]
    assert set(engines) == {"cool", "mild", "warm", "meta-prover"}
    for engine in engines.values():
        assert engine["model"] == "meta" and engine["engine"].startswith("vllm 0.")
        assert engine["context"] == 2048 and engine["scores"]
        assert engine["scoring"] == "forced-decoding"

    ran = factory.run()
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["run_id"] == checked.json["run_id"]
    assert made["problems"] == 6 == made["records"] + made["wrong"] + made["quarantined"]
    assert 0 < made["tokens_kept"] <= made["tokens_proposed"]
    cost_is_known(made, url)

    steps = factory.ask("select * from steps")
    # They often write the same, which then counts once and keeps all its authors.
    assert {author for step in steps for author in step["authors"]} == {"cool", "mild", "warm"}
    assert all(0 < step["score"] <= 1 and step["tokens"] > 0 for step in steps)
    for trajectory in factory.ask("select * from trajectories"):
        well_formed(trajectory["text"], trajectory["finished"])
    for record in factory.ask("select * from records") if made["records"] else ():
        question, solution = record["messages"]
        assert question == {"role": "user", "content": record["question"]}
        assert solution["content"].startswith("<think>\n### Step 1.")
        well_formed(solution["content"].removeprefix("<think>\n"), finished=True)

    (document,) = Path(factory.lake).glob(f"runs/{made['run_id']}/run.json")
    assert "scoring by forced-decoding" in document.read_text(encoding="utf-8")

    # Where the server stands is no part of what it makes.
    factory.write_recipe(**homogeneous(url.replace("127.0.0.1", "localhost")))
    moved = factory.run()
    assert moved.code == 0 and moved.json["nothing_to_do"], moved.err
    said = "".join(r.out + r.err for r in (checked, ran, moved))
    assert KEY not in said
    lake = (file for file in Path(factory.lake).rglob("*") if file.is_file())
    assert not any(KEY.encode() in file.read_bytes() for file in lake)


def cost_is_known(made: dict[str, Any], url: str) -> None:
    """What the server counted during the run covers what its teachers were told."""
    (server,) = made["servers"]
    assert server["server"] == url
    assert server["generation_tokens"] >= made["tokens_proposed"]
    assert server["prompt_tokens"] >= made["prompt_tokens"], "the scoring reads as well"
    assert 0 < server["cached_tokens"] < server["cache_queries"]
    assert server["cache_hits"] == server["cached_tokens"] / server["cache_queries"]
    for share in made["shares"]:
        assert 0 < share["cached_tokens"] < share["prompt_tokens"]
        assert share["requests"] == share["proposals"] and share["seconds_busy"] > 0
    assert sum(s["tokens_proposed"] for s in made["shares"]) == made["tokens_proposed"]
    assert made["meta_prover"]["requests"] > 0 and "vllm 0." in made["meta_prover"]["engine"]


def well_formed(text: str, finished: bool) -> None:
    """Numbered steps, each once and in order; the thinking closed once, with an answer."""
    assert text.startswith("### Step 1.")
    assert "<think>" not in text and "<|" not in text and "\ufffd" not in text
    assert text.count("</think>") == 1 if finished else text.count("</think>") <= 1
    thinking = text.partition("</think>")[0]
    pieces = [piece for piece in segment(thinking) if piece.strip()]
    for number, piece in enumerate(pieces, 1):
        assert piece.lstrip().startswith(f"### Step {number}."), text


def test_embedded_teachers_and_a_meta_prover_on_vllm(factory: Factory, url: str) -> None:
    meta_prover = {"model": META.name, "url": url}
    factory.write_recipe(meta_prover=meta_prover, contract={"min_records": 0})
    factory.write_problems(4)
    ran = factory.run()
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["problems"] == 4 == made["records"] + made["wrong"] + made["quarantined"]
    assert {s["teacher"] for s in made["shares"]} <= {"ada", "ben", "cyd"}
    trajectories = factory.ask(
        "select p.question, p.answer as reference, p.alternatives, t.* "
        "from trajectories t join problems p using (run_id, problem_id)"
    )
    assert len(trajectories) >= 4
    read = asyncio.run(read_again(trajectories))
    for trajectory, (start, end) in zip(trajectories, read, strict=True):
        assert trajectory["start_score"] == pytest.approx(start, abs=1e-4)
        assert trajectory["score"] == pytest.approx(end, abs=1e-4)


async def read_again(trajectories: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """S of the empty prefix and of the whole trajectory, by the embedded engine."""
    criterion = PredictivePerplexity(open_embedded("cord:meta"))
    scores = []
    for row in trajectories:
        problem = Problem(
            row["problem_id"], row["question"], row["reference"], tuple(row["alternatives"])
        )
        whole = Step(row["text"], "", (), (), "", 1, 1.0, 0.0)
        scores.append(
            (await criterion.score(problem, (), ""), await criterion.score(problem, (whole,), ""))
        )
    return scores


def test_a_wrong_model_name_and_a_dead_port_are_one_sentence_each(
    factory: Factory, url: str
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    for command, model, place, said in (
        ("check", "mteta", url, "is not served there; served: meta"),
        ("run", "mteta", url, "is not served there; served: meta"),
        ("run", "meta", dead, "cannot be reached"),
    ):
        teachers = [{"name": "solo", "model": "meta", "url": url}]
        factory.write_recipe(teachers=teachers, meta_prover={"model": model, "url": place})
        begun = time.monotonic()
        ran = factory.cord(command, "recipe.yaml")
        assert ran.code == 1, ran.err
        assert said in ran.err and repr(model) in ran.err and place in ran.err
        assert "Traceback" not in ran.err and time.monotonic() - begun < 60
    assert factory.cord("runs", "--json").json == [], "nothing was begun"
