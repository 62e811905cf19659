"""Step-wise collaborative decoding: a search over steps (method.md, part 3).

`beam` and `strategies` are pure: merge, select, rank, and what is continued next. `asking` asks the
teachers of a round, `reading` judges what they wrote, `decode` is the round loop over any engines,
criterion and strategy.
"""

from cord.search.asking import Seat
from cord.search.decode import ALGORITHM, decode

__all__ = ["ALGORITHM", "Seat", "decode"]
