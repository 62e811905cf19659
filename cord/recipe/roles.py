"""The models beside the teachers, by the name under which a run knows them."""

from __future__ import annotations

META_PROVER = "meta-prover"
"""Scores by how predictable the answer has become."""
JUDGE = "judge"
"""Says yes or no (`search.criterion: binary`)."""
REWARD_MODEL = "reward-model"
"""Rewards steps (`search.criterion: process-reward`)."""
ANSWER_JUDGE = "answer-judge"
"""Says whether an open answer is right (`verify: {domain: judge}`)."""
INTEGRATOR = "integrator"
"""Merges whole trajectories (`search.strategy: integration`)."""

SCORERS = {
    "predictive-perplexity": META_PROVER,
    "binary": JUDGE,
    "process-reward": REWARD_MODEL,
}
"""Whom a criterion asks; the others ask nobody."""
