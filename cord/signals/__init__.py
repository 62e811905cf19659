"""What can be seen of a trajectory's text and numbers without judging its answer.

`cord.signals.measuring.signals` computes the columns of `cord.signals.columns` once, when records
are selected, in a pass of Arrow and NumPy over whole batches; `cord.signals.profile` sums a release
up in numbers that the next one is held against.
"""
