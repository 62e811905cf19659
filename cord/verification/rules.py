"""What a recipe may set about judging, by domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cord.recipe import VerifySettings


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the domains; see `cord.recipe.verify.VerifySettings`."""

    tolerance: float = 0.0
    """numeric: share of the reference's value that a number may be off."""
    scale: Literal["required", "optional"] = "required"
    """numeric: whether a number without any scale is taken in the reference's."""
    least_f1: float = 1.0
    """span: from this F1 on an answer is correct."""
    program_memory_mb: int = 512
    """code: address space of one program."""


USUAL = Rules()


def rules_of(settings: VerifySettings) -> Rules:
    """A recipe's rules."""
    return Rules(settings.tolerance, settings.scale, settings.least_f1, settings.program_memory_mb)
