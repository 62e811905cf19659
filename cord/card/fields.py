"""What each column of a record means, in the words of a data card."""

from __future__ import annotations

from typing import Final

FIELDS: Final[dict[str, str]] = {
    "problem_id": "the problem's name in its source",
    "question": "the problem, as the teachers were asked",
    "answer": "the reference answer that the record's own was judged against",
    "messages": "the conversation to train on: the question, and `<think>`, the steps, `</think>` "
    "and the stated answer",
    "teachers": "the author of each step, in order",
    "steps": "number of steps",
    "tokens": "tokens that were sampled for this trajectory",
    "score": "predictive perplexity S of the reference answer behind the last step, in (0, 1], "
    "higher is better: exp of the mean log-probability of its tokens",
    "run_id": "the run that decoded it",
    "key": "hash of everything that decided its search",
    "rank": "place in the last beam, 0 is the best",
    "missing": "teachers that could not be reached in some round of its search",
    "domain": "by whose rules its answer was judged: math, numeric, choice ...",
    "language": "of the thinking, ISO 639",
    "question_language": "of the question, ISO 639",
    "thinking_form": "`tagged` where the thinking stands once between its tags, else the fault",
    "repetition": "share of its ten words in a row that stood there before, 0 to 1",
    "step_characters": "mean length of a step",
    "longest_step": "characters of the longest step",
    "teacher_shares": "share of the steps that each teacher wrote",
    "start_score": "S before the first step",
    "certain_at": "steps until S reached 0.99; 0: from the start, null: never",
    "truncated": "not finished, or the stated answer breaks off",
    "leaks_answer": "the first step has the answer, and has not computed it",
}
"""By column, in Markdown."""
