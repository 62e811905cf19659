"""What it costs to score a candidate behind a long prefix, against plain `prompt_logprobs`.

    python -m benchmarks.scoring [--quick] [--json]

A real vLLM on the CPU serves a small random Llama (6 layers of width 256). Prefixes of 2k, 8k and
16k tokens (2k and 8k with `--quick`) are in its cache, as after a round of proposals; 12 candidates
at once, each with a new step of 60 tokens, are then scored against an answer of 17 tokens, through
`VllmEngine` as in a run. Every repetition uses new steps, the ways take turns within it, and a
way's figure is the median of its times over the median of the plain way's. Ratios on a CPU say what
is computed; a GPU, whose plain way reads a prefix faster and whose decoding steps are shorter too,
will have others.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from tokenizers import AddedToken
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import cord.miniature
from benchmarks.figures import Figure, at_most, report
from benchmarks.vllm_server import serving
from cord.engines import AnswerRequest
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.scoring_ways import PLAIN, WAYS
from cord.prompts import ANSWER_PROBE
from cord.types import Step

GOALS = {2048: 0.20, 8192: 0.06, 16384: 0.04}
"""Prefix in tokens: most that a candidate may cost, as a share of the plain way."""
REPETITIONS = {2048: 7, 8192: 3, 16384: 3}
CANDIDATES, STEP_TOKENS, ANSWER = 12, 60, "3 * (14 - 5) = 27"
WIDTH, LAYERS, CONTEXT = 256, 6, 17_408
QUESTION = "Start 9; +5; +8; *9; rev"


def save_model(folder: Path) -> Path:
    """A random Llama in float32, big enough that reading a prefix costs something."""
    tokenizer = AutoTokenizer.from_pretrained(Path(cord.miniature.__file__).parent / "models/ada")
    # The words of the answer probe, so that it takes as few tokens as in a real vocabulary.
    words = ("\n\n", "The", " final", " answer", " is", " \\boxed{")
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@dataclass
class Bench:
    """Candidates behind one prefix, and who scores them."""

    engines: dict[str, VllmEngine]
    prefix: tuple[Step, ...]
    identity: str
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def candidate(self) -> AnswerRequest:
        """A new step behind the prefix."""
        step = written(self.dice, STEP_TOKENS, self.identity)
        return AnswerRequest(QUESTION, (*self.prefix, step), ANSWER_PROBE, (ANSWER,))

    async def seconds(self, way: str) -> float:
        """For a candidate, `CANDIDATES` at once."""
        engine, candidates = self.engines[way], [self.candidate() for _ in range(CANDIDATES)]
        begun = time.perf_counter()
        await asyncio.gather(*map(engine.answer_logprobs, candidates))
        return (time.perf_counter() - begun) / CANDIDATES

    async def difference(self, way: str) -> float:
        """Largest from the plain way's log-probabilities, in nats, over three candidates."""
        worst = 0.0
        for candidate in [self.candidate() for _ in range(3)]:
            (ours,) = await self.engines[way].answer_logprobs(candidate)
            (plain,) = await self.engines[PLAIN].answer_logprobs(candidate)
            worst = max(worst, *(abs(a - b) for a, b in zip(ours, plain, strict=True)))
        return worst


def written(dice: random.Random, tokens: int, identity: str) -> Step:
    """A step of random letters in the model's own ids."""
    ids = tuple(dice.randrange(60, 180) for _ in range(tokens))
    return Step("...", "it", ("it",), ids, identity, tokens, 0.5, 0.0)


async def measure(url: str, model: str, lengths: Sequence[int], quick: bool) -> list[Figure]:
    """All ways that the server has, at each prefix length; prints as it goes."""
    chosen = (await VllmEngine(url, model).describe()).scoring
    engines = {}
    for name, read in WAYS.items():
        engine = VllmEngine(url, model, ways={name: read})
        if (await engine.describe()).scoring == name:
            engines[name] = engine
    print(f"ways that this server has: {', '.join(engines)}; cord chooses {chosen}")
    identity = (await engines[PLAIN].describe()).identity
    print(f"{'prefix':>7} {'way':<16} {'s a candidate':>13} {'ratio':>7}")
    figures, worst = [], 0.0
    for length in lengths:
        rest = length - await engines[PLAIN].prompt_tokens(QUESTION)
        dice = random.Random(length)
        bench = Bench(engines, (written(dice, rest, identity),), identity)
        for (
            way
        ) in engines:  # the prefix gets into the cache, and nothing is done for the first time
            await bench.seconds(way)
        times: dict[str, list[float]] = {way: [] for way in engines}
        for repetition in range(2 if quick else REPETITIONS[length]):
            order = list(engines)
            for way in order[repetition % len(order) :] + order[: repetition % len(order)]:
                times[way].append(await bench.seconds(way))
        plain = median(times[PLAIN])
        for way, values in times.items():
            ratio = median(values) / plain
            print(f"{length:>7} {way:<16} {median(values):>13.4f} {ratio:>7.3f}", flush=True)
        ratio = median(times[chosen]) / plain
        name = f"{chosen}, {length // 1024}k tokens of prefix"
        figures.append(at_most(name, ratio, GOALS[length], "of prompt_logprobs"))
        worst = max(worst, await bench.difference(chosen))
    figures.append(at_most("largest difference from prompt_logprobs", worst, 1e-4, "nats"))
    return figures


def main() -> None:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2k and 8k alone, two repetitions")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    options = parser.parse_args()
    lengths = sorted(GOALS)[:2] if options.quick else sorted(GOALS)
    with tempfile.TemporaryDirectory(prefix="cord-scoring-") as scratch:
        model = save_model(Path(scratch) / "random-llama")
        with serving(model, "--max-model-len", str(CONTEXT), cache_gib=2) as url:
            figures = asyncio.run(measure(url, model.name, lengths, options.quick))
    report(figures, options.json)


if __name__ == "__main__":
    main()
