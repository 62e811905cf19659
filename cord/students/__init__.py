"""Students: small or large models fine-tuned on what the factory made, and how good they are.

    release | run | file ──> conversations ──> examples ──> SFTTrainer ──> a model folder
    model + benchmark ──> samples ──> verdicts ──> Pass@1 with its interval

method.md, part 6. torch, transformers and TRL are imported where training needs them, never before.
"""
