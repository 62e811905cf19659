"""Run by vLLM's own Python, which has neither pytest nor cord's packages: the processor, on vLLM's
real classes. Prints `all hold`. See test_forced_decoding.py."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import torch
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.v1.sample.logits_processor import (
    BatchUpdateBuilder,
    MoveDirectionality,
    build_logitsprocs,
    validate_logits_processors_parameters,
)
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext
from vllm.v1.worker.gpu.sample.logits_processor.loader import (
    build_custom_logits_processors_params_validator,
)

from cord.engines.vllm.forced_decoding import ForcedDecoding
from cord.engines.vllm.forced_decoding_flags import FLAGS, FORCED_IDS

NAME = FLAGS[-1]
VOCABULARY = 40


def params(ids: list[int] | None, **more: object) -> SamplingParams:
    extra = None if ids is None else {FORCED_IDS: ids}
    return SamplingParams(max_tokens=len(ids or [0]), extra_args=extra, **more)


def check(logits: torch.Tensor, before: torch.Tensor, wanted: list[int | None]) -> None:
    """Rows with something wanted can only yield that; the others are as they were."""
    for row, token in enumerate(wanted):
        if token is None:
            assert torch.equal(logits[row], before[row]), row
        else:
            assert int(logits[row].argmax()) == token, row
            assert int(torch.isfinite(logits[row]).sum()) == 1, row


def through_v1(dice: random.Random) -> None:
    config = SimpleNamespace(
        speculative_config=None,
        scheduler_config=SimpleNamespace(max_num_seqs=16, async_scheduling=False),
        parallel_config=SimpleNamespace(use_ubatching=False),
        reasoning_config=None,
    )
    device = torch.device("cpu")
    loaded = build_logitsprocs(config, device, False, False, [NAME])
    (processor,) = [p for p in loaded.non_argmax_invariant if isinstance(p, ForcedDecoding)]
    builder, rows = BatchUpdateBuilder(), []  # rows: [params, output ids]
    for _ in range(300):
        for row in sorted(dice.sample(range(len(rows)), dice.randint(0, min(2, len(rows))))):
            builder.removed_append(row)
            rows[row] = None
        for _ in range(dice.randint(0, 2)):
            ids = [dice.randrange(VOCABULARY + 3) for _ in range(dice.randint(1, 4))]
            request = [params(ids if dice.random() < 0.7 else None), []]
            row = builder.pop_removed()
            if row is None:
                row = len(rows)
                rows.append(None)
            rows[row] = request
            builder.added.append((row, request[0], None, request[1]))
        while (hole := builder.peek_removed()) is not None:
            while rows and rows[-1] is None:
                rows.pop()
            if hole >= len(rows):
                break
            builder.pop_removed()
            builder.moved.append((len(rows) - 1, hole, MoveDirectionality.UNIDIRECTIONAL))
            rows[hole] = rows.pop()
        while rows and rows[-1] is None:
            rows.pop()
        if len(rows) > 1:
            a, b = dice.sample(range(len(rows)), 2)
            builder.moved.append((a, b, MoveDirectionality.SWAP))
            rows[a], rows[b] = rows[b], rows[a]
        processor.update_state(builder.get_and_reset(len(rows)))
        before = torch.randn(len(rows), VOCABULARY)
        wanted = []
        for request, output in rows:
            ids = (request.extra_args or {}).get(FORCED_IDS, [])
            token = ids[len(output)] if len(output) < len(ids) else None
            wanted.append(token if token is not None and token < VOCABULARY else None)
        check(processor.apply(before.clone()), before, wanted)
        for _, output in rows:
            output.append(-1)  # as with asynchronous scheduling: the id is not yet known


def through_v2(dice: random.Random) -> None:
    slots = 8
    prompt_len = SimpleNamespace(np=np.zeros(slots, dtype=np.int32))
    shared = SimpleNamespace(device=torch.device("cpu"), prompt_len=prompt_len)
    processor = ForcedDecoding(SimpleNamespace(), shared)
    requests: dict[int, list] = {}  # slot: [ids, decoded]
    for _ in range(300):
        slot = dice.randrange(slots)
        ids = None
        if dice.random() < 0.7:
            ids = [dice.randrange(VOCABULARY + 3) for _ in range(dice.randint(1, 4))]
        prompt_len.np[slot] = dice.randint(1, 30)
        assert processor.add_request(slot, params(ids)) == (ids is not None)
        requests[slot] = [ids or [], -dice.randint(0, 1)]  # -1: its prompt is not read to the end
        processor.apply_staged_writes()
        batch = dice.sample(sorted(requests), dice.randint(1, len(requests)))
        lengths = [int(prompt_len.np[s]) + requests[s][1] for s in batch]
        where = torch.tensor(batch)
        context = LogitsContext(
            expanded_idx_mapping=where,
            idx_mapping=where,
            idx_mapping_np=np.array(batch),
            expanded_local_pos=torch.zeros(len(batch)),
            input_ids=where,
            pos=torch.tensor(lengths) - 1,
            seq_lens_upper_bound_np=np.array(lengths),
        )
        before = torch.randn(len(batch), VOCABULARY)
        wanted = []
        for s in batch:
            ids, decoded = requests[s]
            token = ids[decoded] if 0 <= decoded < len(ids) else None
            wanted.append(token if token is not None and token < VOCABULARY else None)
            requests[s][1] += 1
        check(processor.apply(before.clone(), context), before, wanted)


def through_validation() -> None:
    bad = [[], ["a"], [-1], "12"]
    validate_v2 = build_custom_logits_processors_params_validator([NAME])
    for validate in (lambda p: validate_logits_processors_parameters([NAME], p), validate_v2):
        validate(params([1, 2]))
        validate(params(None))
        for ids in bad:
            sentence = ""
            try:
                validate(SamplingParams(max_tokens=1, extra_args={FORCED_IDS: ids}))
            except VLLMValidationError as error:
                sentence = str(error)
            assert FORCED_IDS in sentence


if __name__ == "__main__":
    through_v1(random.Random(1))
    through_v2(random.Random(2))
    through_validation()
    foreign = [m for m in sys.modules if m.startswith("cord.") and "forced" not in m]
    assert set(foreign) <= {"cord.engines", "cord.engines.vllm", "cord.types"}, foreign
    print("all hold")
