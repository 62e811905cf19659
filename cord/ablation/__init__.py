"""The paper's comparisons: one recipe varied in many ways, on the same problems and seeds.

    recipe      what is varied: an ablation's own recipe
    cells       one variant with one seed: a run in the lake like any other
    measures    what came of a cell, problem by problem
    tables      the paper's tables with our figures beside the paper's
    pictures    teachers by progress, score by progress, accuracy against tokens
    page        all of it as one web page; markdown: its tables as text

`flows.ablate` carries a grid out.
"""
