"""What tests ask of any engine, but for what a test is about."""

from cord.engines import ProposalRequest


def asking(**changes: object) -> ProposalRequest:
    request = {
        "question": "1+1?",
        "steps": (),
        "opening": "### Step 1.",
        "stop": ("### Step",),
        "max_tokens": 50,
        "temperature": 0.6,
        "seed": 7,
    }
    return ProposalRequest(**(request | changes))  # type: ignore[arg-type]
