"""Recipes of `cord distill` and `cord evaluate`, as their users write them in YAML."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cord.prompts import PLAIN_INSTRUCTIONS
from cord.recipe import SAFE_NAME, Model, ProblemSource
from cord.recipe.section import Section

Precision = Literal["bfloat16", "float32"]


class TrainingData(Section):
    """What a student reads: one of `release`, `run`, `file`."""

    release: str | None = None
    """`NAME` (its newest release) or `NAME@V`: only records that were judged correct."""
    run: str | None = Field(default=None, pattern=SAFE_NAME)
    """The best finished trajectory of each problem of a run, whatever its verdict (the paper's
    students read all that was kept)."""
    file: str | None = Field(default=None, min_length=1)
    """What `cord export --format sft` writes, or any file of `messages`: JSON lines or Parquet,
    beside the recipe or in the working folder."""
    limit: int | None = Field(default=None, ge=1)
    """Only so many conversations, drawn by `train.seed`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("release", "run", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"names {' and '.join(given)}" if given else "names none of them"
            raise ValueError(f"data {said}; give one of release, run, file")
        return self

    @property
    def told(self) -> str:
        """For people: `release limo@3`."""
        name = next(n for n in ("release", "run", "file") if getattr(self, n) is not None)
        return f"{name} {getattr(self, name)}"


class TrainSettings(Section):
    """Supervised fine-tuning. The defaults are the paper's (method.md, part 6)."""

    epochs: int = Field(default=5, ge=1, le=1000)
    batch: int = Field(default=8, ge=1)
    """Conversations to one step of the optimizer, over all GPUs."""
    learning_rate: Annotated[float, Field(gt=0, le=1, strict=False)] = 5e-6
    """The highest one."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """To zero, or not at all."""
    warmup: Annotated[float, Field(ge=0, lt=1, strict=False)] = 0.0
    """Share of the steps in which the learning rate rises; the paper names none."""
    weight_decay: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    max_gradient: Annotated[float, Field(gt=0, strict=False)] = 1.0
    """Norm to which a larger gradient is cut."""
    max_tokens: int = Field(default=20_480, ge=2)
    """Prompt, reasoning and answer together. A longer conversation is left out and counted,
    never cut."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Order of the conversations, and the draw of `data.limit`."""
    precision: Precision | None = None
    """By default bfloat16 on a GPU, float32 on a CPU."""
    gpus: int | None = Field(default=None, ge=0, le=1024)
    """Of this host. 0 trains on the CPU; by default one where there is one. Several are driven by
    `accelerate launch`."""
    at_once: int | None = Field(default=None, ge=1)
    """Conversations that a GPU reads at once; by default the whole batch, divided by the GPUs."""
    deepspeed: Literal[2, 3] | None = None
    """Stage of DeepSpeed's ZeRO, for models that no single GPU holds with their optimizer."""
    offload: bool = False
    """With DeepSpeed: the optimizer's state in the host's memory (12 bytes a parameter)."""
    recompute: bool | None = None
    """Forget activations and compute them again (gradient checkpointing): less memory, a third
    more time. By default on a GPU only."""

    @property
    def devices(self) -> int:
        """Processes that train together."""
        return max(1, self.gpus or 1)

    @property
    def launched(self) -> bool:
        """Training runs in processes of its own."""
        return self.devices > 1 or self.deepspeed is not None

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        if self.batch % self.devices:
            raise ValueError(
                f"batch {self.batch} cannot be shared by {self.devices} gpus; give a batch that "
                "they divide"
            )
        if self.at_once is not None and self.batch // self.devices % self.at_once:
            raise ValueError(
                f"at_once {self.at_once} does not divide the {self.batch // self.devices} "
                "conversations of a step that each GPU reads"
            )
        if self.deepspeed is not None and self.gpus == 0:
            raise ValueError("deepspeed needs GPUs, and gpus is 0; remove one of the two")
        if self.offload and self.deepspeed is None:
            raise ValueError("offload is DeepSpeed's; add `deepspeed: 3`, or remove it")
        return self


class DistillRecipe(Section):
    """What `cord distill` does: one student, one data set."""

    name: str = Field(pattern=SAFE_NAME)
    """Also the folder's, `students/NAME`, where the command line names none."""
    student: str = Field(min_length=1)
    """Where it starts from: a name on the hub, a folder, or `cord:NAME`."""
    revision: str | None = Field(default=None, min_length=1)
    """Of a model on the hub."""
    data: TrainingData
    instructions: str = PLAIN_INSTRUCTIONS
    """System message in front of every question; evaluate the student with the same one."""
    train: TrainSettings = TrainSettings()


class EvaluatedModel(Model):
    """A model to measure."""

    name: str = Field(pattern=SAFE_NAME)


class Benchmark(Section):
    """Problems, how an answer to them is judged, and how it is sampled."""

    name: str = Field(pattern=SAFE_NAME)
    problems: ProblemSource
    rule: Literal["math", "choice", "pubmedqa", "tatqa"] = "math"
    """`math` and `choice` read the columns that `problems` names. `pubmedqa` and `tatqa` read these
    data sets' own rows: abstracts or tables are put in front of the question
    (`cord.students.benchmarks`)."""
    samples: int = Field(default=1, ge=1, le=1024)
    """n: answers to each problem. Pass@1 is the mean over them, then over the problems."""
    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.6
    top_p: Annotated[float, Field(gt=0, le=1, strict=False)] = 0.95
    max_tokens: int = Field(default=20_480, ge=1)
    """Of one answer, its reasoning included. What does not end by then is wrong."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many problems."""


class EvaluateRecipe(Section):
    """What `cord evaluate` does: each model on each benchmark."""

    name: str = Field(pattern=SAFE_NAME)
    models: tuple[EvaluatedModel, ...] = Field(strict=False)
    benchmarks: tuple[Benchmark, ...] = Field(strict=False)
    instructions: str = PLAIN_INSTRUCTIONS
    """System message in front of every question."""
    seed: int = 0
    in_flight: int = Field(default=64, ge=1)
    """Answers sampled at once."""
    server_deadline_s: Annotated[float, Field(gt=0, strict=False)] = 3600.0
    """How long a server may be away before the evaluation fails; what is sampled stays."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for section in ("models", "benchmarks"):
            names = [one.name for one in getattr(self, section)]
            if not names:
                raise ValueError(f"{section} is empty; give at least one")
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two of {section} are named {name!r}; give each its own name")
        return self
