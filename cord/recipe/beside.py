"""Local paths of a recipe."""

from __future__ import annotations

from pathlib import Path


def find_beside(path: str, recipe_folder: Path) -> str:
    """Resolve a local path of a recipe: beside the recipe first, else in the working folder.

    Addresses (`s3://`, `cord:`) and absolute paths come back as they are."""
    if "://" in path or path.startswith("cord:") or Path(path).is_absolute():
        return path
    if "\0" in path:
        return path  # no file has such a name; whoever opens it says so
    beside = recipe_folder / path
    return str(beside.resolve() if beside.exists() else Path(path).resolve())
