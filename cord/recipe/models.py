"""Language models: behind a url, served by cord itself, or in this process."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cord.recipe.section import SAFE_NAME, Section


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
    "--hf-token": "set HF_TOKEN in the environment",
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
    licence: str | None = Field(default=None, min_length=1, max_length=200)
    """What its makers allow, `apache-2.0`; stated on the data card, and decides nothing."""

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


class Writer(Model):
    """A model that writes, and how it samples."""

    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.6
    """The paper's heterogeneous teachers: 0.6. 0 is greedy; vLLM takes no more than 2."""
    top_p: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0


class Teacher(Writer):
    """A model that proposes steps."""

    name: str = Field(pattern=SAFE_NAME)
