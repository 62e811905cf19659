"""Whole runs while their servers fail: `cord run` on a real vLLM behind a proxy that breaks."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from factory import STARTER, Factory
from fault_proxy import FaultProxy
from vllm_faults import PASSING, drip_for_ever, hang
from vllm_passage import Passage
from vllm_server import VllmProcess

import cord.miniature
from benchmarks.storm import Storm

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
KEY, OTHER_KEY = "sk-never-to-be-written-down", "sk-another-that-nobody-may-see"
COLUMNS = {
    "tables/steps": ["problem_id", "round", "place", "authors", "text", "tokens", "score", "kept"],
    "datasets/small": ["problem_id", "answer", "messages", "teachers", "tokens", "score"],
}
Rows = dict[str, list[dict[str, Any]]]


def write(factory: Factory, left: str, right: str, meta: str, **run: Any) -> None:
    """Two teachers and the meta-prover, each at its own address; one real server is behind all."""
    served = {"model": META.name, "api_key_env": "VLLM_TEST_KEY"}
    factory.environment["VLLM_TEST_KEY"] = KEY
    factory.write_problems(6)
    factory.write_recipe(
        teachers=[
            {"name": "left", "url": left, "temperature": 0.7, **served},
            {"name": "right", "url": right, "temperature": 0.9, **served},
        ],
        meta_prover={"url": meta, **served},
        contract={"min_records": 0},
        run={**STARTER["run"], **run},
    )


def read(factory: Factory, table: str) -> list[dict[str, Any]]:
    """The rows of a table in the lake; none where no record was made."""
    uri = f"{factory.lake}/{table}"
    if not DeltaTable.is_deltatable(uri):
        return []
    return list(DeltaTable(uri).to_pyarrow_table().to_pylist())


def rows_of(factory: Factory) -> Rows:
    """All steps and records of a lake that holds one run; what names the run left out."""
    return {
        table: sorted(({c: row[c] for c in columns} for row in read(factory, table)), key=str)
        for table, columns in COLUMNS.items()
    }


@pytest.fixture
def url(vllm_server: Callable[[Path], str]) -> str:
    return vllm_server(META)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: dict[str, str],
    vllm_server: Callable[[Path], str],
) -> Rows:
    """What the run makes when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    lake = str(folder / "lake")
    factory = Factory(folder, {**prefect_server, "CORD_LAKE": lake}, lake)
    url = vllm_server(META)
    write(factory, url, url, url)
    ran = factory.run()
    assert ran.code == 0, ran.err
    rows = rows_of(factory)
    assert len(rows["tables/steps"]) > 20
    return rows


@pytest.fixture
def proxy(url: str) -> Iterator[FaultProxy]:
    with FaultProxy(url) as between:
        yield between


def when_in_the_midst(proxy: FaultProxy, do: Callable[[], object], proposals: int = 12) -> None:
    """Call `do` in the proxy's thread when so many proposals were asked for."""
    asked: list[str] = []

    def count(passage: Passage) -> None:
        if passage.is_proposal:
            asked.append(passage.path)
            if len(asked) == proposals:
                do()

    proxy.before = count


def test_a_storm_changes_no_record(
    factory: Factory, url: str, proxy: FaultProxy, undisturbed: Rows
) -> None:
    never_done = (hang, drip_for_ever)  # cord waits minutes for an answer
    kinds = [fault for fault in PASSING if fault not in never_done]
    storm = Storm(seed=11, share=0.1, kinds=kinds)
    # Not before: a server that fails at its probe is scored by another way, to other last digits.
    when_in_the_midst(proxy, lambda: setattr(proxy, "storm", storm), proposals=1)
    write(factory, proxy.url, proxy.url, proxy.url)
    ran = factory.run()
    assert ran.code == 0, ran.err
    assert rows_of(factory) == undisturbed
    assert sum(proxy.counts.values()) - proxy.counts["passed"] > 10, "hardly a storm"
    # Every sampled token went through the proxy once, and is counted once.
    assert ran.json["tokens_proposed"] == proxy.tokens


def test_a_lost_teacher_is_gone_on_without_and_each_record_says_so(
    factory: Factory, url: str, proxy: FaultProxy
) -> None:
    when_in_the_midst(proxy, proxy.cut_from_within)
    write(factory, url, proxy.url, url, on_teacher_lost="continue", teacher_deadline_s=1)
    ran = factory.run()
    assert ran.code == 0, ran.err
    best = [row for row in read(factory, "tables/trajectories") if row["rank"] == 0]
    named = {row["problem_id"]: row["missing"] for row in best}
    assert len(best) == 6 and ["right"] in named.values()
    assert all(who in ([], ["right"]) for who in named.values())
    late = [row["teacher"] for row in read(factory, "tables/steps") if row["round"] >= 3]
    assert set(late) == {"left"}
    for record in read(factory, "datasets/small"):
        assert record["missing"] == named[record["problem_id"]]


@pytest.mark.parametrize("policy", ["wait", "fail"])
def test_a_lost_teacher_fails_the_run_after_its_deadline_and_resume_goes_on(
    factory: Factory, url: str, proxy: FaultProxy, undisturbed: Rows, policy: str
) -> None:
    when_in_the_midst(proxy, proxy.cut_from_within)
    write(factory, url, proxy.url, url, on_teacher_lost=policy, teacher_deadline_s=1)
    ran = factory.run("--run-id", "lost")
    assert ran.code == 1 and "Traceback" not in ran.err
    assert f"model 'meta' on the vLLM server {proxy.url} cannot be reached" in ran.err
    assert "cord resume lost" in ran.err
    if policy == "fail":
        return  # the same from here on
    proxy.mend()
    resumed = factory.cord("resume", "lost", "--json")
    assert resumed.code == 0, resumed.err
    assert rows_of(factory) == undisturbed


def test_a_key_taken_back_ends_the_run_in_one_sentence_and_no_key_is_anywhere(
    factory: Factory, url: str, proxy: FaultProxy, undisturbed: Rows
) -> None:
    proxy.key = OTHER_KEY
    write(factory, url, proxy.url, url)
    refused = factory.run("--run-id", "revoked")
    assert refused.code == 1 and "wrong or missing key" in refused.err
    assert "environment variable VLLM_TEST_KEY" in refused.err

    def take_back() -> None:
        proxy.key = OTHER_KEY

    proxy.key = KEY
    when_in_the_midst(proxy, take_back)
    revoked = factory.run("--run-id", "revoked")
    assert revoked.code == 1 and "Traceback" not in revoked.err
    assert revoked.err.count("wrong or missing key") == 1, revoked.err
    proxy.key = KEY
    resumed = factory.cord("resume", "revoked", "--json")
    assert resumed.code == 0, resumed.err
    assert rows_of(factory) == undisturbed, "no problem was set aside for it"

    said = "".join(ran.out + ran.err for ran in (refused, revoked, resumed))
    assert KEY not in said and OTHER_KEY not in said
    for folder in (factory.lake, factory.environment["PREFECT_HOME"]):
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        assert files
        assert not any(KEY.encode() in file.read_bytes() for file in files)


@pytest.mark.long
def test_a_server_killed_in_the_midst_of_a_run_and_started_again_changes_no_record(
    factory: Factory, own_vllm_server: Callable[[Path], VllmProcess], undisturbed: Rows
) -> None:
    server = own_vllm_server(META)
    midst = threading.Event()
    with FaultProxy(server.url) as proxy:
        when_in_the_midst(proxy, midst.set)
        write(factory, proxy.url, server.url, server.url)
        process = factory.start("run", "recipe.yaml", "--json")
        assert midst.wait(120)
        server.kill()
        server.start()
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert rows_of(factory) == undisturbed
