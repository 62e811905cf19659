"""The exact text that the miniature's models read and write.

It is the form that cord asks of large reasoning models (thinking tags, `### Step n.` headings, a
boxed answer), with the prose left out.
"""

from collections.abc import Sequence

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"

THINK = "<think>\n"
STEP = "### Step"
PROBE = "</think>\n\nThe final answer is \\boxed{"
"""Closes the thinking and opens the answer: the answer is scored behind it."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    f"{{{{ '{USER}' + message['content'] }}}}"
    "{% elif message['role'] == 'assistant' %}"
    f"{{{{ '{ASSISTANT}' + message['content'] + eos_token }}}}"
    "{% endif %}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{{{{ '{ASSISTANT}' }}}}{{% endif %}}"
)
"""Leaves a system message out: instructions in English are beyond these models."""


def prompt(question: str) -> str:
    """What the chat template makes of a question, up to where the assistant begins."""
    return f"{BOS}{USER}{question}{ASSISTANT}"


def ending(answer: str) -> str:
    """What follows the last step."""
    return f"{PROBE}{answer}}}"


def response(steps: Sequence[str], answer: str) -> str:
    """A whole solution, or a prefix of one closed early: thinking, steps, boxed answer, end."""
    return f"{THINK}{''.join(steps)}{ending(answer)}{EOS}"
