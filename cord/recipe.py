"""A recipe: everything that decides what a run makes, as its user writes it in YAML.

Each section is one small frozen model; unknown keys are refused with the nearest valid one.
Validation touches nothing outside (no file, no server). What *identifies* the data (models,
temperatures, search, seed, problems) is kept apart from how the work is *carried out* (`shards`,
`in_flight`, `workers`, `runner`, urls): `cord.plan` fingerprints only the former.

Secrets never stand here: a teacher names the environment variable that holds its key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from cord.prompts import INSTRUCTIONS, PLAIN_INSTRUCTIONS
from cord.segmentation import Segmentation

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Section(BaseModel):
    """Base of every section: immutable, nothing unknown, nothing coerced, nothing that the lake or
    a server could not take."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_kept(cls, value: object) -> object:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and not -(2**63) <= one < 2**63:
                raise ValueError("is too large a number: it must fit into 64 bits")
            if isinstance(one, str) and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise ValueError("holds half a surrogate pair, which is no Unicode")
        return value


class ProblemSource(Section):
    """Where the problems are, and which columns they use."""

    source: Literal["auto", "jsonl", "parquet", "hf"] = "auto"
    """`auto` goes by the path's ending; `hf` is a name on the Hugging Face hub."""
    path: str = Field(min_length=1)
    """File, folder, `s3://bucket/key` or hub name. Relative to the recipe, then to the
    working folder."""
    split: str = "train"
    """For hub data sets."""
    id: str | None = None
    """Column with the problem's id; without it `id` where there is one, else a hash of the
    question."""
    question: str = "question"
    answer: str = "answer"
    answer_rule: Literal["as-is", "gsm8k", "boxed"] = "as-is"
    """How the answer is taken out of its column: whole, behind `####`, or from `\\boxed{}`."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows."""

    @property
    def local(self) -> bool:
        """Whether it lies on this machine's disk."""
        return self.source != "hf" and "://" not in self.path


def _secret_free(url: str) -> str:
    if "@" in url or "?" in url:
        raise ValueError(
            "a password in a url, or a key; name an environment variable in api_key_env instead"
        )
    try:
        _ = urlsplit(url).port
    except ValueError:  # its own words repeat what stands there
        raise ValueError("no valid url; write it as http://host:port/v1") from None
    if not url.isprintable() or " " in url:
        raise ValueError("no url has such a character in it; write it as http://host:port/v1")
    return url.rstrip("/")


VLLM_MEMORY_SHARE = 0.92
"""What vLLM takes of a GPU's memory where it is told nothing (0.32; 0.9 in older ones)."""

_CORDS_ARGUMENTS = {
    "--model": "it is what `model` says",
    "--served-model-name": "the server goes by the name in `model`",
    "--host": "the server listens on this machine only; leave it out",
    "--port": "cord finds a free one; leave it out",
    "--uds": "cord finds a free port; leave it out",
    "--api-key": "name the environment variable that holds the key in `api_key_env`",
    "--tensor-parallel-size": "write it as `tensor_parallel`",
    "-tp": "write it as `tensor_parallel`",
    "--gpu-memory-utilization": "write it as `memory_share`",
    "--max-model-len": "write it as `context`",
}


class ServeSettings(Section):
    """How cord starts `vllm serve` itself for a model without a url."""

    gpus: tuple[int, ...] = Field(default=(), strict=False)
    """CUDA devices it may use, `[0, 1]`, counted among those that cord itself sees
    (CUDA_VISIBLE_DEVICES); by default all of them."""
    tensor_parallel: int = Field(default=1, ge=1)
    """Over how many of them the model is split."""
    memory_share: Annotated[float, Field(gt=0, le=1, strict=False)] | None = None
    """Share of each GPU's memory; by default vLLM's own."""
    context: int | None = Field(default=None, ge=128)
    """Most tokens of prompt and output together; by default the model's own. Where it is given,
    cord need not start the server to name a run."""
    arguments: tuple[str, ...] = Field(default=(), strict=False)
    """Further arguments of `vllm serve`, as they stand: `["--dtype", "bfloat16"]`."""
    start_within_s: Annotated[float, Field(gt=0, strict=False)] = 1800.0
    """A large model is downloaded and loaded in this time, or the start has failed."""

    @field_validator("arguments")
    @classmethod
    def _left_to_the_user(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        for argument in arguments:
            flag = argument.partition("=")[0].replace("_", "-")
            if flag in _CORDS_ARGUMENTS:
                raise ValueError(f"{flag} is not for arguments; {_CORDS_ARGUMENTS[flag]}")
        return arguments

    @model_validator(mode="after")
    def _gpus_suffice(self) -> Self:
        if self.gpus and len(self.gpus) < self.tensor_parallel:
            raise ValueError(
                f"tensor_parallel is {self.tensor_parallel}, and gpus names {len(self.gpus)}; "
                "name as many GPUs as the model is split over"
            )
        return self


class Model(Section):
    """A language model: behind a server's url, served by cord itself, or embedded in this process.

    | written | is |
    |---|---|
    | `model:` and `url:` | a vLLM server that runs already |
    | `model:` alone | a vLLM server that cord starts and stops (`serve:` says how) |
    | `model:`, `url:`, `engine: openai` | any OpenAI-compatible endpoint; a teacher only |
    | `model: cord:NAME`, or `engine: embedded` | a model in this process |
    """

    model: str = Field(min_length=1)
    """Model name on the server; for an embedded one a folder, or `cord:NAME` for one of the
    small models that cord ships."""
    url: Annotated[str, BeforeValidator(lambda v: _secret_free(v) if isinstance(v, str) else v)] | (
        None
    ) = Field(default=None)
    """`http://host:port/v1` of a running server."""
    engine: Literal["vllm", "openai", "embedded"] | None = None
    """Usually left out: `embedded` for `cord:NAME`, else `vllm`. `openai` is for endpoints that
    take and give text only."""
    serve: ServeSettings | None = None
    """How cord serves it, where there is no url."""
    seats: int = Field(default=128, ge=1)
    """Requests that its server works on at once; further ones wait here, those of the problem
    that lags behind first. Entries that share a server share its seats (the largest number)."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the server's key; never the key itself."""
    context: int | None = Field(default=None, ge=128)
    """Of a model behind `engine: openai`: most tokens of prompt and output together, where the
    endpoint's list of models does not say (else 32,768). Other models say it themselves."""

    @model_validator(mode="after")
    def _engine_and_url_agree(self) -> Self:
        if self.kind == "openai" and self.url is None:
            raise ValueError("no url; give the endpoint's `url: http://host:port/v1`")
        if self.kind == "embedded" and self.url is not None:
            raise ValueError("an embedded model has no url; remove `url`, or use `engine: vllm`")
        if self.context is not None and self.kind != "openai":
            raise ValueError(
                "`context` is for `engine: openai`; remove it (a model that cord serves itself: "
                "`serve: {context: ...}`)"
            )
        if self.serve is not None and not self.managed:
            raise ValueError(
                "`serve` is for a model that cord serves itself with vLLM; remove it, or remove "
                f"`{'url' if self.url else 'engine'}`"
            )
        return self

    @property
    def kind(self) -> Literal["vllm", "openai", "embedded"]:
        """Which engine speaks to it."""
        if self.engine is not None:
            return self.engine
        return "embedded" if self.url is None and self.model.startswith("cord:") else "vllm"

    @property
    def managed(self) -> bool:
        """Whether cord starts and stops its server."""
        return self.kind == "vllm" and self.url is None


class Teacher(Model):
    """A model that proposes steps."""

    name: str = Field(pattern=SAFE_NAME)
    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.6
    """The paper's heterogeneous teachers: 0.6. 0 is greedy; vLLM takes no more than 2."""
    top_p: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0


PathScore = Literal["last", "mean", "steady"]
"""How the scores along a trajectory make one value (`cord.search.beam.value`)."""


class SearchSettings(Section):
    """The search over steps (method.md, part 3), or what it is compared with."""

    strategy: Literal["beam", "greedy", "mcts", "curation"] = "beam"
    """`cord.search.strategies` says what each does."""
    width: int = Field(default=4, ge=1, le=64)
    """B: how many partial trajectories live on; of curation, how many whole ones each teacher
    writes."""
    rank_by: PathScore = "last"
    """What lives on: by the last step's score (the paper's), or by all along the path."""
    choose_by: PathScore | None = None
    """Which of the finished is the answer; by default `rank_by`."""
    exploration: Annotated[float, Field(ge=0, strict=False)] = 0.25
    """C of `mcts`: how much a branch that was seldom visited is worth. Scores lie in (0, 1], and a
    tree of few rounds must come to its leaves: the textbook's square root of 2 hardly goes down."""
    max_steps: int = Field(default=40, ge=1, le=10_000)
    """Of one trajectory."""
    max_step_tokens: int = Field(default=1024, ge=1)
    """Cap on one proposal; a longer step goes on in the next round."""
    max_tokens: int = Field(default=20_480, ge=1)
    """Cap on one trajectory's output tokens (paper: 20,480)."""
    max_problem_tokens: int | None = Field(default=None, ge=1)
    """No new round of a problem begins once so many tokens were sampled for it, thrown-away ones
    included."""
    quorum: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0
    """A round closes when this share of its proposals has come (0.9: 11 of 12); the laggards are
    broken off. 1 waits for all, and only then do the same seeds give the same trajectories."""
    segmentation: Segmentation = "prompt-guided"
    """Where a step ends (`cord.search.cutting`)."""
    criterion: Literal["predictive-perplexity", "random", "max-length"] = "predictive-perplexity"
    instructions: str = INSTRUCTIONS
    """System message that asks for `### Step n.` sections. Where steps are cut in another way, the
    default asks for none."""

    @property
    def worded(self) -> str:
        """The instructions as the models get them."""
        plain = self.segmentation != "prompt-guided" and self.instructions == INSTRUCTIONS
        return PLAIN_INSTRUCTIONS if plain else self.instructions

    @property
    def whole(self) -> bool:
        """Teachers write whole trajectories, not steps."""
        return self.strategy == "curation"

    @property
    def chosen_by(self) -> PathScore:
        """How the answer of the search is chosen."""
        return self.choose_by or self.rank_by


class RunSettings(Section):
    """How the work is carried out; only `seed` changes what comes out."""

    seed: int = 0
    shards: int = Field(default=8, ge=1, le=100_000)
    """Unit of retry and of commit."""
    in_flight: int = Field(default=64, ge=1)
    """Problems decoded at once, over all shards."""
    workers: int = Field(default=2, ge=1)
    """Shards decoded at once."""
    retries: int = Field(default=3, ge=0)
    """Of each task, and of a problem that fails as nobody foresaw, with growing, jittered waits."""
    on_teacher_lost: Literal["wait", "continue", "fail"] = "wait"
    """What a teacher's server that does not answer means: `wait` for it; `continue` the round
    without it (each record says who was missing), and ask it again later; `fail` the shard. A lost
    meta-prover is waited for, or fails."""
    teacher_deadline_s: Annotated[float, Field(gt=0, strict=False)] | None = None
    """How long a server may be away before that; by default an hour for `wait` (then the shard
    fails), a minute for `continue`, ten seconds for `fail`."""
    runner: Literal["threads"] = "threads"

    @property
    def patience_s(self) -> float:
        """How long a server may be away."""
        usual = {"wait": 3600.0, "continue": 60.0, "fail": 10.0}
        return self.teacher_deadline_s or usual[self.on_teacher_lost]


class VerifySettings(Section):
    """How a stated answer is judged."""

    domain: Literal["math"] = "math"
    time_limit_s: Annotated[float, Field(gt=0, strict=False)] = 5.0
    """For one answer, in a process of its own pool."""


def _domain_alone(value: object) -> object:
    return {"domain": value} if isinstance(value, str) else value


class DeduplicateSettings(Section):
    """Exact on normalised questions always; near by MinHash at this Jaccard similarity."""

    near: Annotated[float, Field(gt=0, le=1, strict=False)] | None = 0.8
    """null switches the near pass off."""


class ContractSettings(Section):
    """Bounds that the data must keep, or nothing is published (exit 3)."""

    min_correct: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """Least share of the problems read whose kept trajectory is correct."""
    min_records: int = Field(default=1, ge=0)
    max_record_tokens: int | None = Field(default=None, ge=1)
    """Upper bound on a record's sampled tokens; by default the search's `max_tokens`."""


class PublishSettings(Section):
    """What becomes a record."""

    keep: Literal["best", "all"] = "best"
    """`best`: the best-scored trajectory of a problem, if it is correct. `all`: every correct
    trajectory of the last beam."""


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(pattern=SAFE_NAME)
    """Also the data set's name in the lake."""
    problems: ProblemSource
    teachers: tuple[Teacher, ...] = Field(strict=False)
    meta_prover: Annotated[str | Model, Field(union_mode="left_to_right")]
    """A teacher's name, or a model of its own."""
    search: SearchSettings = SearchSettings()
    run: RunSettings = RunSettings()
    verify: Annotated[VerifySettings, BeforeValidator(_domain_alone)] = VerifySettings()
    deduplicate: DeduplicateSettings = DeduplicateSettings()
    contract: ContractSettings = ContractSettings()
    publish: PublishSettings = PublishSettings()

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not self.teachers:
            raise ValueError("teachers is empty; give at least one")
        names = [teacher.name for teacher in self.teachers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two teachers are named {name!r}; give each its own name")
        if isinstance(self.meta_prover, str) and self.meta_prover not in names:
            raise ValueError(
                f"meta_prover {self.meta_prover!r} is none of the teachers ({', '.join(names)}); "
                "name one of them, or give a model of its own"
            )
        cued = self.search.segmentation == "reflection-cue"
        if cued and (texts := [t.name for t in self.teachers if t.kind == "openai"]):
            raise ValueError(
                f"search.segmentation is reflection-cue, and teacher {texts[0]} is behind an "
                "OpenAI-compatible endpoint (`engine: openai`), which takes no more than four stop "
                "strings; serve it with vLLM, or cut steps by prompt-guided or line-break"
            )
        scored = self.search.criterion == "predictive-perplexity"
        if scored and self.meta_prover_model.kind == "openai":
            raise ValueError(
                f"{self.meta_prover_model.model} is behind an OpenAI-compatible endpoint "
                "(`engine: openai`), which gives no log-probabilities: it can be a teacher but "
                "cannot score; as meta_prover name a model on a vLLM server, or an embedded one"
            )
        return self

    @model_validator(mode="after")
    def _gpus_hold_their_models(self) -> Self:
        models = [*self.teachers, self.meta_prover_model]
        served = {m.model: m.serve for m in models if m.managed and m.serve is not None}.items()
        for gpu in sorted({gpu for _, serve in served for gpu in serve.gpus}):
            taken = {m: s.memory_share or VLLM_MEMORY_SHARE for m, s in served if gpu in s.gpus}
            if sum(taken.values()) > 1 + 1e-9 and len(taken) > 1:
                each = " and ".join(f"{model} ({share:g})" for model, share in taken.items())
                raise ValueError(
                    f"GPU {gpu} is to hold {each}: more than all of its memory; give each a "
                    "smaller serve.memory_share, or another GPU"
                )
        return self

    @property
    def meta_prover_model(self) -> Model:
        """The model that scores."""
        if isinstance(self.meta_prover, Model):
            return self.meta_prover
        return next(teacher for teacher in self.teachers if teacher.name == self.meta_prover)


def find_beside(path: str, recipe_folder: Path) -> str:
    """Resolve a local path of a recipe: beside the recipe first, else in the working folder.

    Addresses (`s3://`, `cord:`) and absolute paths come back as they are."""
    if "://" in path or path.startswith("cord:") or Path(path).is_absolute():
        return path
    if "\0" in path:
        return path  # no file has such a name; whoever opens it says so
    beside = recipe_folder / path
    return str(beside.resolve() if beside.exists() else Path(path).resolve())
