"""How a model of a recipe is put to `vllm serve`: program, arguments, environment, and its name.

Nothing is started here. The server runs in an environment of its own choosing: whatever Python the
`vllm` program belongs to, with cord's package made importable for it and nothing else of cord's.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path

from cord.engines.model_identity import identity_of
from cord.engines.vllm import forced_decoding_flags
from cord.errors import EngineError
from cord.recipe import Model, ServeSettings, find_beside

PROGRAM = "CORD_VLLM"
"""Environment variable that names the `vllm` program, where it is not beside cord's Python."""

_MAKES_ANOTHER_MODEL = frozenset(
    ("--revision", "--code-revision", "--tokenizer", "--tokenizer-revision", "--tokenizer-mode",
     "--dtype", "--quantization", "-q", "--quantization-config", "--kv-cache-dtype",
     "--hf-overrides", "--hf-config-path", "--chat-template", "--lora-modules", "--model-impl",
     "--load-format", "--config")
)  # fmt: skip
"""Arguments that change what the model says, not only how fast."""


@dataclass(frozen=True, slots=True)
class Serving:
    """One model as it is to be served."""

    model: str
    """As the recipe names it; the server goes by the same name."""
    place: str
    """What `vllm serve` is given: a name on the hub, or a folder."""
    settings: ServeSettings
    api_key_env: str | None = None
    """Environment variable that holds the key the server is to ask for."""
    pooling: bool = False
    """It is a reward model: it gives numbers, not text."""

    @property
    def title(self) -> str:
        """For people: `Qwen/QwQ-32B (GPUs 0, 1)`."""
        gpus = self.settings.gpus
        listed = ", ".join(str(gpu) for gpu in gpus)
        return self.model + (f" (GPU{'s' if len(gpus) > 1 else ''} {listed})" if gpus else "")

    @property
    def gpus(self) -> tuple[int, ...]:
        """Those that vLLM will take, named or not."""
        return self.settings.gpus or tuple(range(self.settings.tensor_parallel))

    def command(self, port: int) -> list[str]:
        """The whole command line. Raises `EngineError` when there is no vLLM."""
        settings = self.settings
        optional = {
            "--tensor-parallel-size": settings.tensor_parallel,
            "--gpu-memory-utilization": settings.memory_share,
            "--max-model-len": settings.context,
        }
        return [
            find_vllm(),
            *("serve", self.place, "--served-model-name", self.model),
            *("--host", "127.0.0.1", "--port", str(port)),
            *(str(part) for pair in optional.items() if pair[1] is not None for part in pair),
            *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
            *self._own_flags(),
            *settings.arguments,
        ]

    def _own_flags(self) -> tuple[str, ...]:
        """What cord asks for beside the recipe; the user's own arguments go before it."""
        given = {flag for flag, _ in _flags(self.settings.arguments)}
        if self.pooling:  # rewards of all tokens: whatever `<extra_0>` is called in its vocabulary
            wanted = (("--runner", "pooling"), ("--pooler-config", '{"tok_pooling_type": "ALL"}'))
            return tuple(part for pair in wanted if pair[0] not in given for part in pair)
        forced: tuple[str, ...] = forced_decoding_flags.FLAGS
        # vLLM takes not both.
        return () if given & {forced[0], "--speculative-config"} else forced

    def environment(self, folder: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The server's environment, by default this process's with what it needs changed.

        `folder` gets a link to cord's package and must outlive the server. Raises `EngineError`."""
        base = os.environ if base is None else base
        made = forced_decoding_flags.environment(folder, base)
        made.pop("VLLM_API_KEY", None)  # the server would ask for a key that nobody sends
        if self.api_key_env is not None:
            made["VLLM_API_KEY"] = self._key(base)
        if self.settings.gpus:
            made["CUDA_VISIBLE_DEVICES"] = self._visible(base.get("CUDA_VISIBLE_DEVICES"))
        # What it compiles at run time needs the tools of its own environment (ninja), as if that
        # had been activated.
        made["PATH"] = os.pathsep.join([str(Path(find_vllm()).parent), base.get("PATH", "")])
        made.setdefault("VLLM_NO_USAGE_STATS", "1")
        return made

    def identity(self) -> str:
        """What names the model's weights: the hub's name, or the content of a folder; then the
        arguments that make another model of them. Reads all of a folder once."""
        folder = Path(self.place)
        weights = f"sha256-{identity_of(folder)}" if folder.is_dir() else self.place
        changes = [
            " ".join((flag, *values))
            for flag, values in _flags(self.settings.arguments)
            if flag in _MAKES_ANOTHER_MODEL
        ]
        return " ".join((f"vllm:{weights}", *sorted(changes)))

    def _key(self, base: Mapping[str, str]) -> str:
        key = base.get(self.api_key_env or "", "").strip()
        if not key:
            raise EngineError(
                f"the vLLM server for {self.model!r} is to ask for a key, but the environment "
                f"variable {self.api_key_env} (api_key_env) is not set; set it, or remove "
                "api_key_env: the server listens on this machine only"
            )
        return key

    def _visible(self, visible: str | None) -> str:
        """The recipe's GPUs among those that this process may see."""
        gpus = self.settings.gpus
        if visible is None:
            return ",".join(str(gpu) for gpu in gpus)
        seen = [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
        if missing := [gpu for gpu in gpus if gpu >= len(seen)]:
            raise EngineError(
                f"model {self.model!r} is to run on GPU {missing[0]} (serve.gpus), but only "
                f"{len(seen)} GPUs are visible here (CUDA_VISIBLE_DEVICES={visible}); they are "
                "counted from 0"
            )
        return ",".join(seen[gpu] for gpu in gpus)


def serving_of(model: Model, folder: Path, pooling: bool = False) -> Serving:
    """How a recipe's model is served; a local folder is looked for beside the recipe first.

    Raises `EngineError` for a path where no folder is."""
    written = os.path.expanduser(model.model)
    found = find_beside(written, folder)
    if Path(found).is_dir():
        place = found
    elif written.startswith(("/", "./", "../")):
        raise EngineError(
            f"no folder {model.model}; a model that cord serves itself is a local folder or a "
            "name on the Hugging Face hub"
        )
    else:
        place = model.model
    settings = model.serve or ServeSettings()
    return Serving(model.model, place, settings, model.api_key_env, pooling)


def find_vllm() -> str:
    """The `vllm` program: $CORD_VLLM, else beside this Python, else on the PATH.

    Raises `EngineError`."""
    named = os.environ.get(PROGRAM)
    if named:
        program = shutil.which(os.path.expanduser(named))
        if program is None:
            raise EngineError(f"{PROGRAM} names {named}, which is no program that can be run")
        return os.path.abspath(program)
    beside = Path(sys.executable).parent / "vllm"
    program = str(beside) if os.access(beside, os.X_OK) else shutil.which("vllm")
    if program is None:
        raise EngineError(
            "a model without a url is served by vLLM, and there is none here; install it on a GPU "
            f"host (pip install 'cord-factory[vllm]'), or name the vllm program of an environment "
            f"of its own in {PROGRAM}"
        )
    return os.path.abspath(program)


def installed_version() -> str:
    """Version of the vLLM that would be started, "" where its environment does not tell."""
    libraries = Path(find_vllm()).parents[1] / "lib"
    for described in sorted(libraries.glob("python3*/site-packages/vllm-*.dist-info")):
        return PathDistribution(described).version
    return ""


def _flags(arguments: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each flag with its values; `--max_model_len=8` is `--max-model-len` with 8."""
    flag, values = "", list[str]()
    for argument in arguments:
        if argument.startswith("-") and not argument[1:2].isdigit():
            if flag:
                yield flag, tuple(values)
            flag, equals, value = argument.partition("=")
            flag, values = flag.replace("_", "-"), [value] if equals else []
        else:
            values.append(argument)
    if flag:
        yield flag, tuple(values)
