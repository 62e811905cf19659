"""Monte Carlo tree search over steps, an ablation of the paper (method.md, part 3).

Each round is one turn of the wheel: *selection* walks from the root to a leaf, at each node to the
child with the largest upper confidence bound (UCT); *expansion* asks all K teachers to continue
the leaf; *evaluation* is the criterion's score of each child, so that nothing has to be rolled out;
*backing up* adds it to the child and to everything above. Ours, since the paper gives no figures:
C is `exploration` (UCT), and `max_steps * width` rounds are the most, as many prefixes as the beam
continues; give `max_problem_tokens` to compare at equal cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cord.recipe import SearchSettings
from cord.search.beam import can_grow, grow, rank, value
from cord.search.strategies.strategy import Strategy
from cord.types import Candidate, Trajectory


@dataclass(slots=True, eq=False)
class Node:
    """A partial trajectory in the tree."""

    trajectory: Trajectory
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    visits: int = 0
    total: float = 0.0
    """Of the values backed up through it."""
    open: bool = True
    """Something below it, or itself, can still be expanded."""

    def upwards(self) -> Iterator[Node]:
        """The node, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


class TreeSearch(Strategy):
    """A tree of steps, one leaf expanded a round."""

    def __init__(self, start: Trajectory, settings: SearchSettings) -> None:
        self._settings = settings
        self._nodes = [Node(start)]
        """In the order they were made: a candidate's `beam` is its parent's place here."""
        self._rounds = 0

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The leaf that selection comes to."""
        root = self._nodes[0]
        if not root.open or self._rounds >= self._settings.max_steps * self._settings.width:
            return ()
        leaf = self._select(root)
        return ((self._nodes.index(leaf), leaf.trajectory),)

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Hang all candidates into the tree and back their values up. All live on."""
        leaf = self._nodes[candidates[0].beam] if candidates else self._select(self._nodes[0])
        self._rounds += 1
        leaf.open = False
        for candidate in candidates:
            child = Node(grow(leaf.trajectory, candidate), leaf)
            child.open = can_grow(child.trajectory, self._settings)
            leaf.children.append(child)
            self._nodes.append(child)
            worth = math.exp(value(child.trajectory, self._settings.rank_by))
            for node in child.upwards():
                node.visits += 1
                node.total += worth
        for node in leaf.upwards():
            node.open = any(child.open for child in node.children)
        return tuple(candidate.marked(True) for candidate in candidates)

    def best(self) -> tuple[Trajectory, ...]:
        """The best leaves, finished ones first."""
        leaves = [node.trajectory for node in self._nodes if not node.children]
        return rank(leaves, self._settings.chosen_by)[: self._settings.width]

    def _select(self, node: Node) -> Node:
        while node.children:
            node = max((c for c in node.children if c.open), key=self._bound)
        return node

    def _bound(self, node: Node) -> float:
        """UCT: mean value + C * sqrt(ln(visits of the parent) / visits)."""
        assert node.parent is not None  # only children are compared
        seldom = math.sqrt(math.log(node.parent.visits) / node.visits)
        return node.total / node.visits + self._settings.exploration * seldom
