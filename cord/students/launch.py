"""Training in several processes: `accelerate launch` of `cord.students.train`.

What it is told stands in `OUT/training/accelerate.yaml`, a file that `accelerate launch` takes as
it is, so that a cluster's own launcher can be given the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from cord.errors import CordError, UsageError
from cord.scheduler import Stopped
from cord.students.job import Loss, Place, write_whole
from cord.students.recipe import TrainSettings

LOOK_EVERY_S = 0.5
GRACE_S = 600.0
"""For the step under way and its checkpoint, once a stop is asked for."""
LAST_LINES = 15


def launch(
    settings: TrainSettings,
    place: Place,
    watch: Callable[[int, int, float], None],
    stop: threading.Event | None = None,
) -> list[Loss]:
    """Train what lies in `place`, in `settings.devices` processes of this host; returns the loss
    curve. Raises `CordError` with the log's end where they fail, `Stopped`."""
    require(settings)
    config = place.work / "accelerate.yaml"
    write_whole(config, yaml.safe_dump(accelerate_config(settings), sort_keys=False))
    for left in (place.losses, place.progress, place.stop):
        left.unlink(missing_ok=True)
    log = place.work / "log.txt"
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)),
        *("-m", "cord.students.train", str(place.out)),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,  # closes when this process is gone: they end too
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for this process, which then tells them
            env=_environment(settings),
        )
    try:
        code = _wait(process, place, watch, stop)
    finally:
        _end(process)
    if stop is not None and stop.is_set() and code:
        raise Stopped("stopped on request")
    if code or not place.losses.is_file():
        raise CordError(
            f"training failed (exit {code}); the end of {log}:\n{_last_lines(log)}\n"
            "The same command goes on from the last checkpoint"
        )
    lines = place.losses.read_text("utf-8").splitlines()
    return [Loss.model_validate_json(line) for line in lines]


def require(settings: TrainSettings) -> None:
    """Raises `UsageError` where a package is missing that these settings need."""
    needed = ["accelerate", *(["deepspeed"] if settings.deepspeed else [])]
    for package in needed:
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"the package {package} is missing, which these train settings need; run "
                f"pip install {package}"
            )


def accelerate_config(settings: TrainSettings) -> dict[str, Any]:
    """What `accelerate launch --config_file` reads."""
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "debug": False,
        "distributed_type": "NO",
        "downcast_bf16": "no",
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": "no" if settings.precision == "float32" else "bf16",
        "num_machines": 1,
        "num_processes": settings.devices,
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": False,
    }
    if settings.deepspeed is not None:
        config["distributed_type"] = "DEEPSPEED"
        config["deepspeed_config"] = {
            "deepspeed_multinode_launcher": "standard",
            "offload_optimizer_device": "cpu" if settings.offload else "none",
            "offload_param_device": "none",
            "zero3_init_flag": settings.deepspeed == 3,
            "zero3_save_16bit_model": settings.deepspeed == 3,
            "zero_stage": settings.deepspeed,
        }
    elif settings.devices > 1:
        config["distributed_type"] = "MULTI_GPU"
    return config


def _environment(settings: TrainSettings) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    made = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = seen.split(",") if seen else [str(gpu) for gpu in range(settings.devices)]
    made["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[: settings.devices])
    return made


def _wait(
    process: subprocess.Popen[bytes],
    place: Place,
    watch: Callable[[int, int, float], None],
    stop: threading.Event | None,
) -> int:
    told_at: float | None = None
    while (code := process.poll()) is None:
        time.sleep(LOOK_EVERY_S)
        _show(place, watch)
        if stop is not None and stop.is_set():
            if told_at is None:
                told_at = time.monotonic()
                place.stop.touch()
            elif time.monotonic() - told_at > GRACE_S:
                return 1
    return code


def _show(place: Place, watch: Callable[[int, int, float], None]) -> None:
    try:
        told = json.loads(place.progress.read_text("utf-8"))
    except (OSError, ValueError):
        return
    watch(told["step"], told["steps"], float("nan") if told["loss"] is None else told["loss"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """None of its processes is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, LAST_LINES)).strip()
