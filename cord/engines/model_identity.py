"""What names a model folder: its content. Needs no torch, so that a name costs no seconds."""

from __future__ import annotations

from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

_IDENTIFYING = ("*.safetensors", "*.safetensors.index.json", "config.json",
                "generation_config.json", "tokenizer*", "special_tokens_map.json",
                "added_tokens.json", "vocab.*", "merges.txt", "chat_template*")  # fmt: skip


def identity_of(folder: Path) -> str:
    """64 hexadecimal digits over names and bytes of weights, configuration and tokenizer."""
    found = {path for pattern in _IDENTIFYING for path in folder.glob(pattern) if path.is_file()}
    whole = sha256()
    for path in sorted(found, key=lambda path: path.name):
        status = path.stat()
        digest = _file_hash(path.resolve(), status.st_size, status.st_mtime_ns)
        whole.update(f"{path.name} {digest}\n".encode())
    return whole.hexdigest()


@lru_cache(4096)
def _file_hash(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
