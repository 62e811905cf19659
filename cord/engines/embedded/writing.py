"""The text of one continuation as its tokens arrive: decoding, stop strings, the final cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from cord.engines import FinishReason

CONTEXT_IDS = 6
"""Ids of the prefix that the decoder sees first: some tokenizers (sentencepiece) spell a text's
first token differently from the same token further on."""


class Writing:
    """Sampled tokens of one request, spelled out.

    Text appears character by character: a token that ends inside a UTF-8 character adds nothing
    until the character is complete, and is dropped if it never is.
    """

    def __init__(
        self,
        backend: Tokenizer,
        prefix: Sequence[int],
        stop: Sequence[str],
        ends: frozenset[int],
        limit: int,
    ) -> None:
        """`ends`: ids that end the turn. `limit`: the most tokens to sample."""
        self.sampled: list[int] = []
        self.text = ""
        self.stopped_at = ""
        """The stop string that was met."""
        self._backend = backend
        self._stream = DecodeStream(ids=list(prefix[-CONTEXT_IDS:]), skip_special_tokens=False)
        self._stop = [string for string in stop if string]
        self._reach = max(map(len, self._stop), default=1) - 1
        self._ends = ends
        self._limit = limit
        # characters spelled by the first n tokens; -1 where the nth ends inside a character
        self._spelled = [0]

    def add(self, token: int) -> FinishReason | None:
        """Take the next sampled token; says why the writing ends, if it does."""
        self.sampled.append(token)
        if token in self._ends:
            return "end"
        piece = self._stream.step(self._backend, token)
        if piece is None:
            self._spelled.append(-1)
        elif self._grow(piece):
            return "stop"
        return "length" if len(self.sampled) >= self._limit else None

    def _grow(self, piece: str) -> bool:
        """Append text; True when it completes a stop string, which is then cut away."""
        seen = max(0, len(self.text) - self._reach)
        self.text += piece
        self._spelled.append(len(self.text))
        found = [(self.text.find(string, seen), string) for string in self._stop]
        cut, met = min(((place, s) for place, s in found if place >= 0), default=(-1, ""))
        if cut >= 0:
            self.text, self.stopped_at = self.text[:cut], met
        return cut >= 0

    def ids(self, encode: Callable[[str], Sequence[int]]) -> list[int]:
        """Ids that spell `text`: the sampled ones, and, where it ends inside one of them, the
        rest of it re-tokenised."""
        length = len(self.text)
        whole = max(n for n, spelled in enumerate(self._spelled) if 0 <= spelled <= length)
        return [*self.sampled[:whole], *encode(self.text[self._spelled[whole] :])]
