"""The training itself: TRL's SFTTrainer over ids that are made already.

`train` runs in this process; `python -m cord.students.train OUT` is the same for the processes that
`accelerate launch` starts (`cord.students.launch`). Both go on from the newest checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PrinterCallback,
    TrainerCallback,
    set_seed,
)
from transformers.utils import logging as transformers_log
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from cord.scheduler import Stopped
from cord.students.examples import Example
from cord.students.job import Job, Loss, Place, read_examples, write_whole

POINTS = 500
"""Most points of a loss curve."""
SMALL = 10_000_000
"""Parameters up to which one thread is faster than many, and gives the same weights each time."""

Watch = Callable[[int, int, float], None]
"""Called with step, steps and the latest loss."""


def train(
    job: Job,
    place: Place,
    examples: Iterable[Example],
    watch: Watch = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Loss]:
    """Train to the end, from the newest checkpoint where there is one; the model is then in
    `place.model`. Returns the loss curve.

    Once `stop` says so, the step under way ends and is kept as a checkpoint; raises `Stopped`."""
    settings = job.settings
    rows = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in examples]
    on_cpu = settings.gpus == 0 or not torch.cuda.is_available()
    brief = settings.precision == "bfloat16" or (settings.precision is None and not on_cpu)
    steps = settings.epochs * math.ceil(len(rows) / settings.batch)
    share = settings.batch // settings.devices
    at_once = settings.at_once or share
    with _quiet():
        arguments = SFTConfig(  # before the model is loaded: it sets ZeRO's partitions up
            output_dir=str(place.work),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=share // at_once,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule,
            warmup_steps=math.ceil(settings.warmup * steps),
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_gradient,
            seed=settings.seed,
            bf16=brief,
            use_cpu=on_cpu,
            activation_checkpointing=(not on_cpu)
            if settings.recompute is None
            else settings.recompute,
            logging_steps=max(1, steps // POINTS),
            save_strategy="epoch",
            save_total_limit=1,
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
            dataloader_pin_memory=not on_cpu,
            max_length=None,  # nothing is cut: what is too long was left out
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        set_seed(settings.seed)
        model: Any = AutoModelForCausalLM.from_pretrained(
            job.start,
            dtype=torch.bfloat16 if brief and settings.deepspeed else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        native = getattr(model.config, "dtype", None)
        watching = _Watching(watch, stop)
        trainer: Any = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(
                job.start, local_files_only=True, trust_remote_code=False
            ),
            callbacks=[watching],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.create_model_card = _no_card
        checkpoint = place.checkpoint()
        with _threads(1 if on_cpu and model.num_parameters() < SMALL else None):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if watching.stopped:
            raise Stopped("stopped on request")
        if brief and not settings.deepspeed and isinstance(native, torch.dtype):
            trainer.model.to(torch.bfloat16)
        trainer.save_model(str(place.model))
    return [
        Loss(
            step=point["step"],
            epoch=point["epoch"],
            loss=point["loss"],
            learning_rate=point["learning_rate"],
        )
        for point in trainer.state.log_history
        if "loss" in point
    ]


def _no_card(*_: Any, **__: Any) -> None:
    """`training.json` says what was done; no checkpoint needs a page of its own."""


class _Watching(TrainerCallback):
    """Tells how far it has come, and hears that it is to stop."""

    def __init__(self, watch: Watch, stop: Callable[[], bool]) -> None:
        self._watch, self._stop = watch, stop
        self._loss = math.nan
        self.stopped = False

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Remember the latest loss."""
        self._loss = float((logs or {}).get("loss", self._loss))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Tell, and end here where that is asked for."""
        self._watch(state.global_step, state.max_steps, self._loss)
        if state.global_step < state.max_steps and self._all_agree(args.device):
            self.stopped = True
            control.should_save = control.should_training_stop = True
        return control

    def _all_agree(self, device: torch.device) -> bool:
        """Whether any process is asked to stop: all of them must do so at the same step."""
        asked = self._stop()
        if not torch.distributed.is_initialized():
            return asked
        flag = torch.tensor([float(asked)], device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag.item())


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Batches of a small model gain nothing from more, and sum otherwise."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """The terminal belongs to whoever watches: no bars of the libraries, no warnings of theirs
    about what is asked for on purpose."""
    log: Any = transformers_log
    bars, dataset_bars = log.is_progress_bar_enabled(), is_progress_bar_enabled()
    level = log.get_verbosity()
    log.disable_progress_bar()
    disable_progress_bar()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
        if dataset_bars:
            enable_progress_bar()


def main(out: Path) -> None:
    """Carry out the job that lies in `out`, as one of several processes."""
    _end_with_parent()
    place = Place(out)
    job = Job.model_validate_json(place.job.read_text("utf-8"))
    is_first = os.environ.get("RANK", "0") == "0"

    def watch(step: int, steps: int, loss: float) -> None:
        if is_first:
            told = {"step": step, "steps": steps, "loss": loss if math.isfinite(loss) else None}
            write_whole(place.progress, json.dumps(told))

    try:
        losses = train(job, place, read_examples(place.examples), watch, place.stop.exists)
    except Stopped:
        sys.exit(130)
    if is_first:
        write_whole(place.losses, "".join(loss.model_dump_json() + "\n" for loss in losses))


def _end_with_parent() -> None:
    """Standard input is a pipe from whoever launched this: when it closes, by whatever death, a
    training that nobody watches ends too, and what is done is in the last checkpoint."""

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin: its lock would be held at the exit
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
