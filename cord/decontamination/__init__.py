"""Decontamination: which records share words with evaluation sets, and with which."""

from cord.decontamination.overlaps import OVERLAPS, find_overlaps
from cord.decontamination.sets import (
    KNOWN,
    EvaluationSet,
    EvaluationSets,
    checked_against,
    is_local,
    read_sets,
)

__all__ = [
    "KNOWN",
    "OVERLAPS",
    "EvaluationSet",
    "EvaluationSets",
    "checked_against",
    "find_overlaps",
    "is_local",
    "read_sets",
]
