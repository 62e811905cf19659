"""What says the same as something else: exactly, after normalisation, or nearly.

`duplicate_questions` compares the questions of different problems, `duplicate_trajectories` the
solutions of one. Both name what goes, what stays in its stead, and how similar the two are; MinHash
proposes pairs, and the exact Jaccard index of the word triples decides. Of several, the one with
the highest score stays, then the shortest, then the one with the smallest id.
"""

from cord.deduplication.normal_form import Tokens, is_prose, signature, tokens
from cord.deduplication.questions import QUESTION_DUPLICATES, Rows, duplicate_questions
from cord.deduplication.trajectories import TRAJECTORY_DUPLICATES, duplicate_trajectories

__all__ = [
    "QUESTION_DUPLICATES",
    "TRAJECTORY_DUPLICATES",
    "Rows",
    "Tokens",
    "duplicate_questions",
    "duplicate_trajectories",
    "is_prose",
    "signature",
    "tokens",
]
