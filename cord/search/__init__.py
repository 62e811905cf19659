"""Step-wise collaborative decoding: beam search over steps (method.md, part 3).

`beam` is pure: merge, select, rank. `asking` asks the teachers of a round, `reading` judges what
they wrote, `decode` is the round loop over any engines and criterion.
"""

from cord.search.asking import Seat
from cord.search.decode import ALGORITHM, decode

__all__ = ["ALGORITHM", "Seat", "decode"]
