"""How a vLLM server is started so that it can be told what to decode (`forced_decoding`).

The processor runs in the server's process, often in a Python environment that holds no cord. So
the server is given a folder with nothing in it but a link to this very package: nothing else of
cord's environment gets in the server's way.

    vllm serve MODEL --logits-processors cord.engines.vllm.forced_decoding:ForcedDecoding
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import cord

FORCED_IDS = "cord_forced_ids"
"""The key in a request's `vllm_xargs` under which it carries the ids to decode."""

FLAGS = ("--logits-processors", "cord.engines.vllm.forced_decoding:ForcedDecoding")
"""What `vllm serve` is given beside the model. vLLM takes it not together with speculative
decoding."""


def environment(folder: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """`base` (by default this process's environment) with cord, and no more, made importable.

    `folder` gets the link and must outlive the server."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (folder / "cord").symlink_to(Path(cord.__file__).parent, target_is_directory=True)
    base = os.environ if base is None else base
    paths = [str(folder.resolve()), *filter(None, [base.get("PYTHONPATH")])]
    return {**base, "PYTHONPATH": os.pathsep.join(paths)}
