"""Step fidelity: whether a trajectory of the miniature is right in every step, not only at the end.

A score that looks at the answer also pays for wrong steps that happen to cancel; here, where each
step can be checked, it shows how often it did.
"""

from cord.miniature.task import is_right, parse
from cord.prompts import split_thinking
from cord.segmentation import segment


def every_step_right(question: str, text: str) -> bool:
    """Whether `text` (a trajectory behind `<think>`) carries out all operations of its problem,
    each of them rightly. Raises ValueError for a question that is not of the miniature."""
    thinking, _ = split_thinking(text)
    steps = segment(thinking, "prompt-guided")
    return len(steps) == len(parse(question).operations) and all(is_right(question, steps))
