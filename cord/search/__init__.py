"""Step-wise collaborative decoding: beam search over steps (method.md, part 3).

`beam` is pure: merge, select, rank. `decode` is the round loop over any engines and criterion.
"""

from cord.search.decode import ALGORITHM, Seat, decode

__all__ = ["ALGORITHM", "Seat", "decode"]
