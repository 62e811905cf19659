"""Where a student starts from: a folder here, one of cord's small models, or the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cord.engines.model_identity import identity_of
from cord.errors import UsageError
from cord.recipe import find_beside

SHIPPED = "cord:"
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "LICENSE*"]
"""Of a model on the hub; no pickled weights, and none in another framework's form."""


@dataclass(frozen=True, slots=True)
class Start:
    """A starting point that is named, and perhaps not here yet."""

    name: str
    """As the recipe writes it."""
    folder: Path | None
    """None: it is on the hub."""
    revision: str | None = None

    @property
    def identity(self) -> str:
        """Names the weights: a folder's content, or name and revision on the hub. Reads all of a
        folder once."""
        if self.folder is not None:
            return f"sha256-{identity_of(self.folder)}"
        return f"hub:{self.name}@{self.revision or 'main'}"

    def fetched(self) -> Path:
        """The folder, downloaded from the hub where it is not here. Raises `UsageError`."""
        if self.folder is not None:
            return self.folder
        from huggingface_hub import snapshot_download

        try:
            found = snapshot_download(self.name, revision=self.revision, allow_patterns=_WANTED)
        except Exception as error:  # the hub's library raises of many kinds
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(
                f"student: {self.name} cannot be fetched from the hub: {first[:300]}; look at the "
                "name, the network, HF_TOKEN and HF_HUB_OFFLINE, or name a local folder"
            ) from None
        return checked(Path(found), self.name)


def find_start(name: str, recipe_folder: Path, revision: str | None = None) -> Start:
    """The starting point that a recipe names; a folder is looked for beside the recipe first.

    Nothing is downloaded. Raises `UsageError` where it cannot be one."""
    if name.startswith(SHIPPED):
        shipped = Path(str(files("cord.miniature"))) / "models"
        folder = shipped / name.removeprefix(SHIPPED)
        if not (folder / "config.json").is_file():
            known = sorted(f"{SHIPPED}{one.parent.name}" for one in shipped.glob("*/config.json"))
            raise UsageError(
                f"student: cord ships no model named {name}; it ships {', '.join(known) or 'none'}"
            )
        return Start(name, folder)
    written = os.path.expanduser(name)
    found = Path(find_beside(written, recipe_folder))
    if found.is_dir():
        if revision is not None:
            raise UsageError("revision is for a model on the hub; the student is a folder here")
        return Start(name, checked(found, name))
    if written.startswith(("/", "./", "../")) or name.count("/") != 1:
        raise UsageError(
            f"student: no folder {name}; a student is a local folder, one of cord's small models "
            "(cord:NAME), or a name on the hub (owner/model)"
        )
    return Start(name, None, revision)


def checked(folder: Path, name: str) -> Path:
    """The folder, if a model lies in it. Raises `UsageError`."""
    for needed, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(needed)):
            raise UsageError(
                f"student: no {what} ({needed}) in {name}; it is no model folder of Hugging Face's "
                "layout (cord loads no pickled weights)"
            )
    return folder
