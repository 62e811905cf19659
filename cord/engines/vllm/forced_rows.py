"""Which token comes next in which row of a server's batch: the bookkeeping of forced decoding.

It runs inside the vLLM server (`cord.engines.vllm.forced_decoding`) and needs nothing but Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

from cord.engines.vllm.forced_decoding_flags import FORCED_IDS

Ids = tuple[int, ...]

Added = tuple[int, Ids | None, Sized]
"""A row, what is forced in it (None: nothing), and the tokens decoded there, a list that grows."""
Moved = tuple[int, int, bool]
"""Row a goes to b; and, where the third is True, b to a."""


def forced_ids(extra_args: Mapping[str, object] | None) -> Ids | None:
    """The ids that a request carries; None for an ordinary request. Raises ValueError."""
    if not extra_args or FORCED_IDS not in extra_args:
        return None
    ids = extra_args[FORCED_IDS]
    if not isinstance(ids, Sequence) or isinstance(ids, str) or not ids:
        raise ValueError(f"vllm_xargs.{FORCED_IDS} must be a list of token ids, and not empty")
    for token in ids:
        if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < 2**31:
            raise ValueError(f"vllm_xargs.{FORCED_IDS} holds {token!r}, which is no token id")
    return tuple(ids)


class ForcedRows:
    """The forced rows of a batch whose rows come, go and move."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Ids, Sized]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def update(
        self, removed: Sequence[int], added: Sequence[Added], moved: Sequence[Moved]
    ) -> None:
        """Follow one change of the batch, in the order that vLLM gives it."""
        for row in removed:
            self._rows.pop(row, None)
        for row, ids, decoded in added:
            self._rows.pop(row, None)  # it may take the place of another request
            if ids is not None:
                self._rows[row] = (ids, decoded)
        for a, b, swapped in moved:
            from_a, from_b = self._rows.pop(a, None), self._rows.pop(b, None)
            if from_a is not None:
                self._rows[b] = from_a
            if from_b is not None and swapped:
                self._rows[a] = from_b

    def next_ids(self) -> list[tuple[int, int]]:
        """(row, token that is to come) of each row that is not at its end."""
        return [
            (row, ids[len(decoded)])
            for row, (ids, decoded) in self._rows.items()
            if len(decoded) < len(ids)
        ]

    def id_at(self, row: int, place: int) -> int | None:
        """The token forced in `row` as the `place`-th (from 0); None where none is."""
        if (entry := self._rows.get(row)) is None or not 0 <= place < len(entry[0]):
            return None
        return entry[0][place]
