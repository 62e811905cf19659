"""The miniature's problems: chains of operations on a digit, everything modulo ten.

`Start 9; +5; *3; flip` is solved one `### Step` an operation: `9+5=4`, `4*3=2`, `flip 2=7`.
A toy by intent, but a fair one.  Three kinds of operation let three teachers have complementary
skills; a checker can judge every single step, so that *step fidelity* is measured beside answer
accuracy; and a small model can nearly do the rest of a chain in its head, without which predictive
perplexity would mean nothing until the last step.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["add", "multiply", "flip"]

KINDS: tuple[Kind, ...] = ("add", "multiply", "flip")
SHORTEST, LONGEST = 4, 6  # operations in a problem

_QUESTION = re.compile(r"Start (\d)((?:; (?:\+\d|\*\d|flip))+)")
_STEP = re.compile(r"### Step (\d+)\. (?:(\d)([+*])(\d)|flip (\d))=(\d)\n?")


@dataclass(frozen=True)
class Operation:
    """One link of a chain; `digit` is zero where the kind takes none."""

    kind: Kind
    digit: int = 0

    def __call__(self, value: int) -> int:
        if self.kind == "add":
            return (value + self.digit) % 10
        if self.kind == "multiply":
            return value * self.digit % 10
        return 9 - value

    def __str__(self) -> str:
        """As the question states it."""
        if self.kind == "flip":
            return "flip"
        return f"{'+' if self.kind == 'add' else '*'}{self.digit}"

    def on(self, value: int) -> str:
        """As a step writes it, up to the equals sign."""
        return f"flip {value}=" if self.kind == "flip" else f"{value}{self}="


@dataclass(frozen=True)
class Chain:
    """A problem: a digit to start from, and what to do to it."""

    start: int
    operations: tuple[Operation, ...]

    @property
    def question(self) -> str:
        return "; ".join([f"Start {self.start}", *map(str, self.operations)])

    @property
    def answer(self) -> str:
        value = self.start
        for operation in self.operations:
            value = operation(value)
        return str(value)


@dataclass(frozen=True)
class Skill:
    """What a teacher can do: it is right on `mastered` kinds, and elsewhere it may guess."""

    mastered: frozenset[Kind]
    guesses: float
    """The share of steps of the other kinds whose result is a random digit."""


FLAWLESS = Skill(frozenset(KINDS), guesses=0.0)


def draw(rng: random.Random) -> Chain:
    """A random problem, of either split."""
    operations = []
    for _ in range(rng.randint(SHORTEST, LONGEST)):
        kind = rng.choice(KINDS)
        operations.append(Operation(kind, 0 if kind == "flip" else rng.randrange(10)))
    return Chain(rng.randrange(10), tuple(operations))


def parse(question: str) -> Chain:
    """The chain that a question states; refuses a question that is not of this task."""
    found = _QUESTION.fullmatch(question)
    if found is None:
        raise ValueError(f"not a question of the miniature: {question!r}")
    operations = []
    for word in found[2].removeprefix("; ").split("; "):
        if word == "flip":
            operations.append(Operation("flip"))
        else:
            operations.append(Operation("add" if word[0] == "+" else "multiply", int(word[1])))
    return Chain(int(found[1]), tuple(operations))


def steps(chain: Chain, skill: Skill = FLAWLESS, rng: random.Random | None = None) -> list[str]:
    """The steps that an author of this skill writes; mistakes are carried on, as models do."""
    value, written = chain.start, []
    for number, operation in enumerate(chain.operations, start=1):
        shown = operation.on(value)
        value = operation(value)
        if operation.kind not in skill.mastered and rng and rng.random() < skill.guesses:
            value = rng.randrange(10)
        written.append(f"### Step {number}. {shown}{value}\n")
    return written


def stated_value(step: str) -> str:
    """The result that a step of `steps` ends on."""
    return step.rstrip("\n").rpartition("=")[2]


def is_right(question: str, step_texts: Sequence[str]) -> list[bool]:
    """Judge each step: the next operation, on the value the step before left, computed right.

    A step after a mistake is right again when it goes on properly from the mistaken value, so that
    a mistake is counted where it was made; `all(...)` is the fidelity of the whole trajectory.
    """
    chain = parse(question)
    verdicts, value = [], chain.start
    for index, text in enumerate(step_texts):
        found = _STEP.fullmatch(text)
        if found is None or index >= len(chain.operations):
            verdicts.append(False)
            continue
        operation = chain.operations[index]
        expected = f"### Step {index + 1}. {operation.on(value)}{operation(value)}"
        verdicts.append(text.rstrip("\n") == expected)
        value = int(found[6])
    return verdicts
