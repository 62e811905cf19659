"""Servers that cord starts itself, with a double at the seam of processes."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from doubles.vllm_program import BEGIN, DEADLY, FAIL, VllmProgram

import cord
from cord.engines.managed import starts
from cord.engines.managed.engine import ManagedVllmEngine
from cord.engines.managed.keeper import VllmKeeper, servers_starting, stop_servers
from cord.engines.managed.log import phase_of, reason_in
from cord.engines.managed.process import ReservedPort
from cord.engines.managed.serving import Serving, serving_of
from cord.engines.vllm.availability import Patience
from cord.errors import EngineError, EngineRefused, EngineUnreachable
from cord.recipe import Model, Recipe, SearchSettings, ServeSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Problem, Quarantined

QWQ = "Qwen/QwQ-32B"


def serving(**settings: Any) -> Serving:
    return serving_of(Model(model=QWQ, serve=ServeSettings(**settings)), Path("/nowhere"))


def are_gone(pids: list[int], within_s: float = 20) -> bool:
    """None of these processes runs (a zombie does not)."""
    deadline = time.monotonic() + within_s
    while any(runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def program(tmp_path, monkeypatch):
    """`program("serve", ...)` is the vLLM of this test; nothing of it is left."""
    made: list[VllmProgram] = []

    def write(*plays: str) -> VllmProgram:
        made.append(VllmProgram(tmp_path, *plays))
        monkeypatch.setenv("CORD_VLLM", made[0].path)
        return made[0]

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of the logs
    monkeypatch.setattr(
        "cord.engines.managed.process.GRACE_S", 0.5
    )  # one worker never ends by itself
    yield write
    stop_servers()
    assert are_gone([pid for one in made for start in one.starts for pid in start["pids"]])


def log_named_in(sentence: str) -> str:
    return Path(sentence.partition("its log: ")[2].rstrip(")")).read_text()


class Told:
    """A keeper, and what it told."""

    def __init__(self, made: Serving, *waits_s: float) -> None:
        self.urls: list[str] = []
        self.given_up: list[str] = []
        self.keeper = VllmKeeper(
            made, self.urls.append, self.given_up.append, restart_waits_s=waits_s
        )


# -- how it is called -----------------------------------------------------------------------------


def test_a_recipe_entry_becomes_a_command_line(program):
    program("serve")
    made = serving(
        tensor_parallel=2, memory_share=0.85, context=32768, arguments=["--dtype", "bfloat16"]
    )
    line = " ".join(made.command(8123)[1:])
    assert line.startswith(f"serve {QWQ} --served-model-name {QWQ} --host 127.0.0.1 --port 8123 ")
    assert "--tensor-parallel-size 2 --gpu-memory-utilization 0.85 --max-model-len 32768" in line
    assert "--enable-prompt-tokens-details" in line
    assert "--logits-processors cord.engines.vllm.forced_decoding:ForcedDecoding" in line
    assert line.endswith("--dtype bfloat16")
    assert "trust" not in line


def test_what_the_recipe_leaves_open_is_left_to_vllm(program):
    program("serve")
    line = " ".join(serving().command(8123))
    assert "--max-model-len" not in line and "--gpu-memory-utilization" not in line


def test_a_logits_processor_of_the_users_own_is_the_only_one(program):
    program("serve")
    command = serving(arguments=["--logits_processors=my:Own"]).command(8123)
    assert not any("ForcedDecoding" in argument for argument in command)


def test_its_python_finds_cord_and_nothing_else_of_ours(program, tmp_path):
    program("serve")
    environment = serving().environment(tmp_path / "python", {"PATH": "/bin"})
    assert environment["PYTHONPATH"] == str(tmp_path / "python")
    (link,) = (tmp_path / "python").iterdir()
    assert link.resolve() == Path(cord.__file__).parent


@pytest.mark.parametrize(
    ("visible", "gpus", "seen"),
    [(None, [2, 3], "2,3"), ("4,5,6,7", [0, 2], "4,6"), ("GPU-a, GPU-b", [1], "GPU-b")],
)
def test_gpus_are_counted_among_those_that_cord_sees(program, tmp_path, visible, gpus, seen):
    program("serve")
    base = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert serving(gpus=gpus).environment(tmp_path, base)["CUDA_VISIBLE_DEVICES"] == seen


def test_a_gpu_that_is_not_there_is_said(program, tmp_path):
    program("serve")
    with pytest.raises(EngineError, match=r"on GPU 2 \(serve.gpus\), but only 2 GPUs are visible"):
        serving(gpus=[2]).environment(tmp_path, {"CUDA_VISIBLE_DEVICES": "4,5"})


def test_a_key_is_asked_for_only_where_the_recipe_names_one(program, tmp_path):
    program("serve")
    base = {"VLLM_API_KEY": "of-another", "MY_KEY": "sesame"}
    assert "VLLM_API_KEY" not in serving().environment(tmp_path, base)
    locked = serving_of(Model(model=QWQ, api_key_env="MY_KEY"), tmp_path)
    assert locked.environment(tmp_path, base)["VLLM_API_KEY"] == "sesame"
    with pytest.raises(EngineError, match=r"MY_KEY .* is not set"):
        locked.environment(tmp_path, {})


def test_a_missing_vllm_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CORD_VLLM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"pip install 'cord-factory\[vllm\]'.*CORD_VLLM"):
        serving().command(8123)
    monkeypatch.setenv("CORD_VLLM", "/no/such/vllm")
    with pytest.raises(EngineError, match=r"CORD_VLLM names /no/such/vllm"):
        serving().command(8123)


def teacher(name: str, **serve: Any) -> dict[str, Any]:
    return {"name": name, "model": f"org/{name}", "serve": serve}


def recipe_of(*teachers: dict[str, Any]) -> Recipe:
    first = teachers[0]["name"]
    problems = {"path": "p.jsonl"}
    return Recipe.model_validate(
        {"name": "r", "problems": problems, "teachers": teachers, "meta_prover": first}
    )


def test_models_that_share_a_gpu_must_fit_into_it():
    with pytest.raises(ValueError, match=r"GPU 1 is to hold org/a \(0.92\) and org/b \(0.5\)"):
        recipe_of(teacher("a", gpus=[0, 1]), teacher("b", gpus=[1], memory_share=0.5))
    recipe_of(
        teacher("a", gpus=[0], memory_share=0.45),
        teacher("b", gpus=[0], memory_share=0.45),
        teacher("c", gpus=[1]),
    )


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        ("--api-key=sesame", "api_key_env"),
        ("--max_model_len", "write it as `context`"),
        ("--port", "leave it out"),
    ],
)
def test_arguments_that_are_cords_own_are_refused(argument, remedy):
    with pytest.raises(ValueError, match=remedy) as refused:
        ServeSettings(arguments=(argument, "8"))
    assert "sesame" not in str(refused.value.errors()[0]["msg"])


# -- what it is called ----------------------------------------------------------------------------


def test_a_hub_model_goes_by_its_name_and_by_what_changes_it():
    assert serving(arguments=["--max-num-seqs", "64"]).identity() == f"vllm:{QWQ}"
    pinned = serving(arguments=["--revision", "main", "--max-num-seqs=64", "--dtype=half"])
    assert pinned.identity() == f"vllm:{QWQ} --dtype half --revision main"


def test_a_local_model_goes_by_its_content_wherever_it_is(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "m").mkdir(parents=True)
        (tmp_path / place / "m" / "config.json").write_text("{}")
    here, there = (serving_of(Model(model="m"), tmp_path / place) for place in ("here", "there"))
    assert here.place == str(tmp_path / "here" / "m")
    assert here.identity() == there.identity() and str(tmp_path) not in here.identity()
    (tmp_path / "there" / "m" / "config.json").write_text("{ }")
    assert here.identity() != there.identity()


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(EngineError, match=r"no folder \./m"):
        serving_of(Model(model="./m"), tmp_path)


# -- its log --------------------------------------------------------------------------------------


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


# -- starts ---------------------------------------------------------------------------------------


def test_many_loops_and_threads_wait_for_one_start(program):
    started = program("serve")
    told = Told(serving())

    async def wait() -> None:
        await asyncio.gather(*(told.keeper.up() for _ in range(5)))

    threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (start,) = started.starts
    port = start["arguments"][start["arguments"].index("--port") + 1]
    assert told.urls == [f"http://127.0.0.1:{port}/v1"]


async def test_who_waits_may_be_cancelled_and_the_start_goes_on(program):
    program("serve")
    told = Told(serving())
    waiting = asyncio.ensure_future(told.keeper.up())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await told.keeper.up()


async def test_a_start_can_be_watched(program):
    program("hang")
    told = Told(serving(gpus=[0, 1], tensor_parallel=2))
    waiting = asyncio.ensure_future(told.keeper.up())
    await until(lambda: "weights" in "".join(one.phase for one in servers_starting()))
    (starting,) = servers_starting()
    assert starting.title == f"{QWQ} (GPUs 0, 1)"
    assert starting.phase == "loading weights, 3/14 files" and starting.seconds > 0
    await asyncio.to_thread(told.keeper.stop)
    with pytest.raises(EngineError, match="was stopped as it started"):
        await waiting
    assert servers_starting() == []


async def test_a_start_that_fails_says_why_once_for_all(program):
    started = program("fail")
    told = Told(serving())
    for _ in range(2):
        with pytest.raises(EngineRefused) as failed:
            await told.keeper.up()
        assert str(failed.value).startswith(
            f"vLLM for {QWQ} did not start: ValueError: No available memory for the cache blocks."
        )
    assert "See root cause above" in log_named_in(str(failed.value))
    assert len(started.starts) == 1


async def test_a_start_that_takes_too_long_is_a_failed_one(program):
    program("hang")
    with pytest.raises(EngineRefused, match=r"not up after 0.5 s \(serve.start_within_s\)"):
        await Told(serving(start_within_s=0.5)).keeper.up()


async def test_a_port_that_is_taken_is_survived(program):
    started = program("taken", "taken", "serve")
    await Told(serving()).keeper.up()
    ports = [start["arguments"][start["arguments"].index("--port") + 1] for start in started.starts]
    assert len(set(ports)) == 3


def test_a_reserved_port_is_given_to_nobody_who_asks_for_any():
    reserved = [ReservedPort() for _ in range(50)]
    assert len({port.number for port in reserved}) == 50
    for port in reserved:
        port.close()


async def test_servers_on_one_gpu_start_one_after_the_other(program, monkeypatch):
    started = program("serve")
    healthy: list[float] = []
    told = [Told(serving(gpus=[0])), Told(serving(gpus=[0, 1])), Told(serving(gpus=[2]))]
    seen = starts.VllmProcess.is_healthy

    def is_healthy(process, client):
        answer = seen(process, client)
        if answer:
            healthy.append(time.monotonic())
        return answer

    monkeypatch.setattr(starts.VllmProcess, "is_healthy", is_healthy)
    await asyncio.gather(*(one.keeper.up() for one in told))
    begun = {start["environment"]["CUDA_VISIBLE_DEVICES"]: start["at"] for start in started.starts}
    first, second = sorted((begun["0"], begun["0,1"]))
    assert any(first < moment < second for moment in healthy)


# -- ends -----------------------------------------------------------------------------------------


async def test_a_server_that_dies_is_started_again_where_it_was(program):
    started = program("die", "serve")
    told = Told(serving(), 0.01)
    await told.keeper.up()
    await until(lambda: len(told.urls) == 2)
    assert told.urls[0] == told.urls[1] and told.given_up == []
    await told.keeper.up()
    assert len(started.starts) == 2


async def test_one_that_dies_again_and_again_is_given_up_with_the_reason(program):
    started = program("die")
    told = Told(serving(), 0.01, 0.02)
    await told.keeper.up()
    await until(lambda: told.given_up != [])
    assert "OutOfMemoryError: CUDA out of memory" in told.given_up[0]
    with pytest.raises(EngineUnreachable, match="was started again 2 times"):
        await told.keeper.up()
    assert len(started.starts) == 3


async def test_deaths_that_are_forgiven_do_not_count(program):
    started = program("die")
    told: list[str] = []

    def died(why: str) -> None:
        told.append(why)
        if len(told) == 2:
            keeper.forgive()

    keeper = VllmKeeper(serving(), print, told.append, died, restart_waits_s=(0.01, 0.01))
    await keeper.up()
    await until(lambda: "was started again 2 times" in "".join(told))
    assert all("CUDA out of memory" in why for why in told)
    assert len(started.starts) == 4


async def test_a_supervisor_that_is_killed_takes_its_server_along(program):
    started = program("serve")
    told = Told(serving())
    await told.keeper.up()
    server, worker = started.starts[0]["pids"]
    os.kill(os.getpgid(server), signal.SIGKILL)  # it leads the group
    assert await asyncio.to_thread(are_gone, [server])
    os.kill(worker, signal.SIGKILL)  # in a session of its own: nobody is left who could know of it


async def test_a_stopped_server_leaves_nothing_and_may_be_started_again(program, tmp_path):
    started = program("serve")
    told = Told(serving())
    for _ in range(2):
        await told.keeper.up()
        await asyncio.to_thread(told.keeper.stop)
        assert are_gone([pid for start in started.starts for pid in start["pids"]], 0)
        assert list(tmp_path.glob("cord-vllm-*")) == []
    assert len(started.starts) == 2


START = """
import asyncio, sys, time
from pathlib import Path
from cord.engines.managed import process
from cord.engines.managed.serving import serving_of
from cord.engines.managed.keeper import VllmKeeper
from cord.recipe import Model
process.GRACE_S = 0.5
keeper = VllmKeeper(serving_of(Model(model="m"), Path(".")), print, print)
asyncio.run(keeper.up())
print("up", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_of_a_server_outlives_its_parent(program, number):
    started = program("serve")
    parent = subprocess.Popen(
        [sys.executable, "-c", START], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    while "up" not in (line := parent.stdout.readline()):
        assert line
    pids = started.starts[0]["pids"]
    assert all(runs(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(20)
    assert are_gone(pids, within_s=30)


# -- the engine -----------------------------------------------------------------------------------


async def test_what_identifies_a_model_is_told_without_a_start(program):
    started = program("fail")
    engine = ManagedVllmEngine(serving(context=4096))
    info = await engine.describe()
    assert (info.model, info.identity, info.context) == (QWQ, f"vllm:{QWQ}", 4096)
    assert started.starts == []
    with pytest.raises(EngineRefused, match="did not start"):
        await engine.prompt_tokens("1+1?")


async def test_without_a_context_in_the_recipe_the_start_tells(program):
    program("fail")
    with pytest.raises(EngineRefused, match="did not start"):
        await ManagedVllmEngine(serving()).describe()


async def test_a_problem_that_its_server_dies_of_costs_itself_alone(program, monkeypatch):
    program("mortal")
    monkeypatch.setattr("cord.engines.managed.keeper.RESTART_WAITS_S", (0.01,) * 6)
    engine = ManagedVllmEngine(serving(), patience=Patience(60.0, longest_wait_s=0.5))
    questions = {"deadly": DEADLY, **{f"p{n}": f"question {n}" for n in range(4)}}
    ended = decode_problems(
        [Problem(id, question, "0") for id, question in questions.items()],
        [Seat("one", engine, 0.7)], PredictivePerplexity(engine), SearchSettings(width=1), 7, 6,
    )  # fmt: skip
    done = [one async for one in ended]
    (aside,) = (one for one in done if isinstance(one, Quarantined))
    assert aside.problem_id == "deadly" and len(done) == 5
    assert "CUDA out of memory" in aside.reason, "as its log tells"
    await engine.close()


async def until(holds, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
