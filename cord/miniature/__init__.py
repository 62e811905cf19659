"""A world small enough to train here: problems, and every model that the method knows.

CoRD asks for several reasoning models of 32 billion parameters. To show and to test the method on
a laptop, this package keeps a problem family whose every step can be checked, and language models
of a third of a million parameters that were trained on it: three teachers, each good at something
else (`ada`, `ben`, `cyd`), a meta-prover that can do the rest of a problem in its head (`meta`), a
judge, a process reward model (`prm`), an integrator (`editor`), and a student that has it all still
to learn. Everything else in cord treats them as it treats the large ones.
"""
