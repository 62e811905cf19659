"""Evaluation items, as they are looked for."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from cord.decontamination.ngrams import Ngrams
from cord.decontamination.sets import EvaluationSets
from cord.decontamination.words import Places, words_of

LEAST_WORDS = 8
"""Items of fewer words are phrases that many texts have: only a question that says no more than
one of them is the same."""

_SAME_ROWS = 32
"""A row that more items of a set have (a phrase of its task, say) is looked for in the first."""


class Items:
    """The items of all sets behind one another: some 500 bytes of memory for each word."""

    def __init__(self, sets: EvaluationSets, length: int) -> None:
        """`length` words in a row are looked for."""
        self.names = [one.name for one in sets.sets]
        self.ids = [id_ for one in sets.sets for id_ in one.ids]
        counts = [len(one.texts) for one in sets.sets]
        self.set_of: Places = np.repeat(np.arange(len(counts)), counts)
        texts = [text for one in sets.sets for text in one.texts]
        self.words = words_of(texts)
        firsts, bounds = self.words.firsts, self.words.bounds
        sizes = np.diff(firsts)
        # Every row of the full length; of a shorter item all of it.
        items = np.repeat(np.arange(len(sizes)), sizes)
        starts = np.arange(len(items))
        lasts = np.where(sizes >= length, firsts[1:] - length, firsts[:-1])[items]
        chosen = (starts <= lasts) & (sizes[items] >= LEAST_WORDS)
        self.row_first = starts[chosen]
        """Of each row its first word."""
        self.row_last = self.row_first + np.minimum(sizes[items[chosen]], length)
        """The word behind it."""
        kept = self._some_of_each(items[chosen])
        self.row_first, self.row_last = self.row_first[kept], self.row_last[kept]
        self.row_item = items[chosen][kept]
        begin = bounds[self.row_first]
        self.ngrams = Ngrams(self.words.letters, begin, bounds[self.row_last] - begin)
        self.whole: defaultdict[bytes, list[int]] = defaultdict(list)
        """Items of still fewer words, by their letters."""
        for item in np.flatnonzero((sizes > 0) & (sizes < LEAST_WORDS)).tolist():
            self.whole[self.words.spelling(firsts[item], firsts[item + 1])].append(item)

    def _some_of_each(self, items: Places) -> Places:
        """The rows without those that an item or too many items of its set have already."""
        items_with: defaultdict[tuple[int, bytes], set[int]] = defaultdict(set)
        kept = []
        for row, item in enumerate(items.tolist()):
            letters = self.words.spelling(self.row_first[row], self.row_last[row])
            others = items_with[int(self.set_of[item]), letters]
            if item not in others and len(others) < _SAME_ROWS:
                others.add(item)
                kept.append(row)
        return np.array(kept, np.int64)
