"""A world small enough to train here: problems, three teachers and a meta-prover.

CoRD asks for several reasoning models of 32 billion parameters.  To show and to test the method
on a laptop, this package keeps a problem family whose every step can be checked, and four language
models of a third of a million parameters that were trained on it: three teachers, each good at
something else, and a meta-prover that can do the rest of a problem in its head.  Everything else
in cord treats them as it treats the large ones.
"""
