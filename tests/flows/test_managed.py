"""Runs whose teachers are served by cord itself: a real vLLM, and no process of it is left."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from doubles.vllm_program import VllmProgram
from factory import Factory
from vllm_server import CONTEXT, ENVIRONMENT, FLAGS, VENV, require_vllm

import cord.miniature
from cord.engines.managed.keeper import VllmKeeper
from cord.engines.managed.serving import serving_of
from cord.engines.vllm import forced_decoding_flags
from cord.recipe import Model
from flows.servers import servers_end, showing_starts

pytestmark = pytest.mark.slow

MODELS = Path(cord.miniature.__file__).parent / "models"
PATIENCE_S = 400


@pytest.fixture
def managed_vllm(factory: Factory) -> Callable[[str, int], dict[str, Any]]:
    """`managed_vllm(name, gpu)` is a teacher of the recipe that cord serves itself."""
    require_vllm()
    factory.environment |= ENVIRONMENT
    cords_own = {"--enable-prompt-tokens-details", *forced_decoding_flags.FLAGS}
    factory.environment["CORD_VLLM"] = str(VENV / "bin" / "vllm")
    at = FLAGS.index("--max-model-len")  # `context` says it
    flags = [flag for flag in (*FLAGS[:at], *FLAGS[at + 2 :]) if flag not in cords_own]

    def teacher(name: str, gpu: int) -> dict[str, Any]:
        link = factory.folder / "models" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(MODELS / name)
        serve = {"gpus": [gpu], "context": CONTEXT, "arguments": flags}
        return {"name": name, "model": f"models/{name}", "serve": serve}

    return teacher


def servers_of(process: subprocess.Popen[str]) -> dict[int, list[str]]:
    """Process ids of all that runs in the sessions of this process's vLLM servers, and names."""
    sessions = {pid for pid, line in _processes() if f"supervisor.py {process.pid} " in line}
    return {pid: line for pid, line in _processes() if _session(pid) in sessions}


def _processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(folder.name), line


def _session(pid: int) -> int:
    with suppress(OSError):
        return os.getsid(pid)
    return 0


def are_gone(pids: Any, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(Path(f"/proc/{pid}/cmdline").exists() and _line(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
    return b""


def wait_for(holds: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_a_run_with_two_managed_servers(factory: Factory, managed_vllm: Any) -> None:
    teachers = [managed_vllm("ada", 0), managed_vllm("ben", 1)]
    search = {"width": 2, "max_steps": 12, "max_step_tokens": 48, "max_tokens": 400}
    factory.write_recipe(
        teachers=teachers, meta_prover="ben", search=search, contract={"min_records": 0}
    )
    factory.write_problems(4)
    process = factory.start("run", "recipe.yaml", "--json")
    assert process.stderr is not None
    said = ""
    while not said.endswith("cord: decoding\n"):
        line = process.stderr.readline()
        assert line, said
        said += line
    assert "cord: starting 2 vLLM servers" in said
    assert "models/ada (GPU 0): loading weights" in said or "models/ben (GPU 1)" in said
    servers = servers_of(process)
    names = " ".join(servers.values())
    assert names.count("supervisor.py") == 2, "the meta-prover shares its teacher's server"
    assert names.count("VLLM::EngineCore") == 2
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said + err
    assert are_gone(servers, within_s=0)
    made = json.loads(out.strip().splitlines()[-1])
    assert made["problems"] == 4 == made["records"] + made["wrong"] + made["quarantined"]
    steps = factory.ask("select * from steps")
    assert {author for step in steps for author in step["authors"]} == {"ada", "ben"}
    assert all(0 < step["score"] <= 1 for step in steps)

    begun = time.monotonic()
    again = factory.run()  # nothing is started to find out that nothing is to do
    assert again.code == 0 and again.json["nothing_to_do"], again.err
    assert "vLLM" not in again.err and time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
    ],
)
def test_no_process_is_left_of_a_server_that_was_just_starting(
    factory: Factory, managed_vllm: Any, number: signal.Signals, code: int
) -> None:
    factory.write_recipe(teachers=[managed_vllm("ada", 0)])
    process = factory.start("check", "recipe.yaml")
    wait_for(lambda: "VLLM::EngineCore" in " ".join(servers_of(process).values()), process)
    servers = servers_of(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    # An orphan is told by its closed pipe; who ends in good order waits until none is left.
    assert are_gone(servers, within_s=30 if number == signal.SIGKILL else 0)


def test_a_server_that_cannot_start_is_one_sentence(factory: Factory, managed_vllm: Any) -> None:
    broken = managed_vllm("ada", 0)
    broken["serve"]["arguments"] += ["--no-such-flag", "8"]
    factory.write_recipe(teachers=[broken], meta_prover="ada")
    ran = factory.cord("run", "recipe.yaml", timeout=PATIENCE_S)
    assert ran.code == 1, ran.err
    assert "vLLM for models/ada (GPU 0) did not start: " in ran.err
    assert "unrecognized arguments: --no-such-flag" in ran.err and "its log: " in ran.err
    assert "Traceback" not in ran.err
    (run,) = factory.cord("runs", "--json").json
    assert run["state"] == "failed"


def test_that_a_server_died_in_a_run_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = VllmProgram(tmp_path, "die", "serve")
    monkeypatch.setenv("CORD_VLLM", program.path)
    monkeypatch.setattr("cord.engines.managed.process.GRACE_S", 0.5)
    urls: list[str] = []
    said: list[str] = []
    serving = serving_of(Model(model="m"), tmp_path)
    keeper = VllmKeeper(serving, urls.append, urls.append, restart_waits_s=(0.01,))
    with servers_end(said.append), servers_end(said.append):
        asyncio.run(showing_starts(keeper.up()))
        deadline = time.monotonic() + 30
        while len(said) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert said[0].startswith("cord: vLLM for m died after ") and "CUDA out of memory" in said[0]
    assert said[1:] == ["cord: vLLM for m is up again"]
    assert are_gone([pid for start in program.starts for pid in start["pids"]], within_s=0)
