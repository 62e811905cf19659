"""The miniature's problems: two chains of operations on a digit, everything modulo ten.

`Start Ann 9; +5; *3. Start Bob 4; flip; +2` asks for Ann's digit and Bob's: `27`. It is solved one
`### Step` an operation, in a title and a line of working: `9+5=4`, `4*3=2`, `flip 4=5`, `5+2=7`;
now and then an author looks at a line again (`Wait, 9+5=4`), and goes on from what it finds then.

A toy by intent, but a fair one. Three kinds of operation let three teachers have complementary
skills, and as Ann's chain is rich in sums and Bob's in flips, they lead at different ends. A
checker can judge every single step, so that *step fidelity* is measured beside answer accuracy. No
operation loses anything (all are one to one), so a mistake never cancels by itself: it takes a
second one that happens to lead back, one in ten. And each digit of the answer is a short chain
away, which a small model can do in its head, without which predictive perplexity would mean nothing
until the last step.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["add", "multiply", "flip"]

KINDS: tuple[Kind, ...] = ("add", "multiply", "flip")
OWNERS = ("Ann", "Bob")
LIKELY: dict[str, tuple[int, int, int]] = {"Ann": (6, 3, 1), "Bob": (1, 3, 6)}
"""How likely each kind is in an owner's chain."""
SHORTEST, LONGEST = 2, 3  # operations in a chain
ADDED = range(1, 10)
FACTORS = (3, 7, 9)  # those that have an inverse modulo ten, save one
SECOND_LOOKS = 0.2
"""The share of steps whose line is worked out a second time."""

_CHAIN = r"(\d)((?:; (?:\+[1-9]|\*[379]|flip))+)"
_QUESTION = re.compile(rf"Start Ann {_CHAIN}\. Start Bob {_CHAIN}")
_LINE = r"(?:\d[+*]\d|flip \d)=\d"
_STEP = re.compile(rf"### Step \d+\. \w+\n\n({_LINE})(?:\nWait, ({_LINE}))?\n*")


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
    """A digit to start from, and what to do to it."""

    start: int
    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        """As the question states it."""
        return "; ".join([str(self.start), *map(str, self.operations)])

    @property
    def end(self) -> int:
        """What it comes to."""
        value = self.start
        for operation in self.operations:
            value = operation(value)
        return value


@dataclass(frozen=True)
class Puzzle:
    """A problem: Ann's chain, and Bob's."""

    ann: Chain
    bob: Chain

    @property
    def question(self) -> str:
        return f"Start Ann {self.ann}. Start Bob {self.bob}"

    @property
    def answer(self) -> str:
        return f"{self.ann.end}{self.bob.end}"

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them, in the order in which they are worked out."""
        return (*self.ann.operations, *self.bob.operations)

    def places(self) -> Iterator[tuple[str, Operation, int | None]]:
        """For each step its owner, its operation, and the digit to start from where a chain
        begins."""
        for owner, chain in zip(OWNERS, (self.ann, self.bob), strict=True):
            for index, operation in enumerate(chain.operations):
                yield owner, operation, (chain.start if index == 0 else None)


@dataclass(frozen=True)
class Skill:
    """What a teacher can do: it is right on `mastered` kinds, and elsewhere it may guess."""

    mastered: frozenset[Kind]
    guesses: float
    """The share of lines of the other kinds whose result is a random digit."""

    def work_out(self, operation: Operation, value: int, rng: random.Random | None) -> int:
        """What such an author takes the operation's result to be."""
        if operation.kind not in self.mastered and rng and rng.random() < self.guesses:
            return rng.randrange(10)
        return operation(value)


FLAWLESS = Skill(frozenset(KINDS), guesses=0.0)


def draw(rng: random.Random) -> Puzzle:
    """A random problem, of either split."""

    def chain(owner: str) -> Chain:
        kinds = rng.choices(KINDS, LIKELY[owner], k=rng.randint(SHORTEST, LONGEST))
        return Chain(rng.randrange(10), tuple(Operation(kind, digit(kind)) for kind in kinds))

    def digit(kind: Kind) -> int:
        return 0 if kind == "flip" else rng.choice(ADDED if kind == "add" else FACTORS)

    return Puzzle(chain("Ann"), chain("Bob"))


def parse(question: str) -> Puzzle:
    """The problem that a question states; refuses a question that is not of this task."""
    found = _QUESTION.fullmatch(question)
    if found is None:
        raise ValueError(f"not a question of the miniature: {question!r}")
    return Puzzle(_chain(found[1], found[2]), _chain(found[3], found[4]))


def _chain(start: str, stated: str) -> Chain:
    operations = []
    for word in stated.removeprefix("; ").split("; "):
        if word == "flip":
            operations.append(Operation("flip"))
        else:
            operations.append(Operation("add" if word[0] == "+" else "multiply", int(word[1])))
    return Chain(int(start), tuple(operations))


def steps(puzzle: Puzzle, skill: Skill = FLAWLESS, rng: random.Random | None = None) -> list[str]:
    """The steps that an author of this skill writes; mistakes are carried on, as models do.
    Without `rng` it neither guesses nor looks twice."""
    written, value = [], 0
    for number, (owner, operation, start) in enumerate(puzzle.places(), start=1):
        given = value if start is None else start
        value = skill.work_out(operation, given, rng)
        line = f"{operation.on(given)}{value}"
        if rng and rng.random() < SECOND_LOOKS:
            value = skill.work_out(operation, given, rng)
            line += f"\nWait, {operation.on(given)}{value}"
        written.append(f"### Step {number}. {owner}\n\n{line}\n\n")
    return written


def stated_value(step: str) -> str:
    """The result that a step of `steps` ends on."""
    return step.rstrip("\n").rpartition("=")[2]


def stated_answer(puzzle: Puzzle, written: Sequence[str]) -> str:
    """The answer that the steps of a whole solution come to."""
    last_of_ann = len(puzzle.ann.operations) - 1
    return stated_value(written[last_of_ann]) + stated_value(written[-1])


def is_right(question: str, step_texts: Sequence[str]) -> list[bool]:
    """Judge each step: the next operation, on the value the step before left, computed right. Of
    two looks the second counts: a slip that its author saw and put right is no mistake.

    A step after a mistake is right again when it goes on properly from the mistaken value, so that
    a mistake is counted where it was made; `all(...)` is the fidelity of the whole trajectory.
    """
    places = list(parse(question).places())
    verdicts, value = [], 0
    for index, text in enumerate(step_texts):
        found = _STEP.fullmatch(text)
        if found is None or index >= len(places):
            verdicts.append(False)
            continue
        owner, operation, start = places[index]
        given = value if start is None else start
        looked = [line for line in found.groups() if line]
        opened = text.startswith(f"### Step {index + 1}. {owner}\n")
        on_it = all(line.startswith(operation.on(given)) for line in looked)
        right = looked[-1] == f"{operation.on(given)}{operation(given)}"
        verdicts.append(opened and on_it and right)
        value = int(stated_value(text))
    return verdicts
