from pathlib import Path

import pytest
import torch

from cord.engines.embedded.causal_model import MOST_PAIRS, Batch, CausalModel, Row, portions
from cord.engines.embedded.keys_values import PrefixStore
from cord.engines.embedded.precision import computes_exactly, widen_norms
from cord.engines.embedded.weights import load_model, read_config


@pytest.fixture
def model(random_model: Path) -> CausalModel:
    network = load_model(random_model, read_config(random_model), torch.float64)
    widen_norms(network)
    return CausalModel(network)


def plain_logprobs(model: CausalModel, row: Row) -> list[float]:
    """One sequence, no padding, no cache."""
    prefix = [id_ for segment in (*row.segments, row.tail) for id_ in segment]
    with torch.inference_mode():
        logits = model.model(torch.tensor([[*prefix, *row.target]]), use_cache=False).logits[0]
    logprobs = torch.log_softmax(logits, -1)
    places = range(len(prefix) - 1, len(prefix) - 1 + len(row.target))
    return [float(logprobs[place, id_]) for place, id_ in zip(places, row.target, strict=True)]


ROWS = [
    Row(((5, 6, 7), (8, 9)), (10,), (11, 12, 13)),
    Row(((5, 6, 7), (8, 9)), (), (11,)),
    Row(((5, 6, 7), (8, 9), (20,) * 40), (10,), (30,)),
    Row(((5, 6, 7), (9, 9), (1, 2)), (10, 10), (40, 41)),
    Row(((7,),), (), (3,)),
]


def test_log_probabilities_are_those_of_a_plain_forward_pass(model: CausalModel) -> None:
    """Cold, then with every prefix remembered, then alone."""
    expected = [plain_logprobs(model, row) for row in ROWS]
    for rows in (ROWS, ROWS, ROWS[::-1], *[[row] for row in ROWS]):
        for row, found in zip(rows, model.target_logprobs(rows), strict=True):
            assert found.tolist() == pytest.approx(expected[ROWS.index(row)], abs=1e-12)


def test_what_is_remembered_is_not_read_again(model: CausalModel) -> None:
    model.target_logprobs(ROWS)
    known = [len(model.remembered(row)) for row in ROWS]
    assert known == [2, 1, 3, 3, 0]  # rows without a tail keep one segment to feed


def test_a_batch_goes_on_as_its_rows_would_alone(model: CausalModel) -> None:
    batch = Batch(model, ROWS, [row.tail for row in ROWS])
    left = list(range(len(ROWS)))
    fed: list[int] = []
    for id_ in range(50, 90):  # longer than the room it begins with
        batch.feed(torch.full((len(left),), id_))
        fed.append(id_)
        if id_ in (55, 60, 70):
            batch.keep([place for place in range(len(left)) if place != 0])
            left = left[1:]
    logprobs = torch.log_softmax(batch.logits[:, -1], -1)
    for place, row in enumerate(ROWS[n] for n in left):
        whole = Row(row.segments, (*row.tail, *fed), (99,))
        assert float(logprobs[place, 99]) == pytest.approx(plain_logprobs(model, whole)[0])


def test_only_float64_throughout_is_called_exact(random_model: Path) -> None:
    config = read_config(random_model)

    def exact(dtype: torch.dtype, widen: bool) -> bool:
        network = load_model(random_model, config, dtype)
        if widen:
            widen_norms(network)
        model = CausalModel(network)
        return computes_exactly(network, lambda: model.target_logprobs(ROWS))

    assert exact(torch.float64, widen=True)
    assert not exact(torch.float64, widen=False)
    assert not exact(torch.float32, widen=True)


def test_a_batch_is_cut_where_memory_would_end() -> None:
    long = Row(((1,) * int(MOST_PAIRS**0.5),))
    short = Row(((1,) * 10,))
    assert list(portions([long, short, long, short])) == [[1, 3], [0], [2]]
    assert list(portions([short] * 3, growth=2**15)) == [[0], [1], [2]]


def test_the_store_forgets_what_was_not_used_longest() -> None:
    states = torch.zeros(1, 1, 1, 1, dtype=torch.float64)  # 8 bytes
    store = PrefixStore(limit=3 * 8)
    store.add([(1,)], states)
    store.add([(1,), (2,)], states)
    store.add([(1,), (3,)], states)
    assert len(store.find([(1,), (2,), (9,)])) == 2
    store.add([(4,)], states)
    assert len(store.find([(1,), (3,)])) == 1
    assert len(store.find([(1,), (2,)])) == 2
    assert store.find([(2,)]) == []


def test_the_store_knows_nothing_behind_a_gap() -> None:
    store = PrefixStore()
    store.add([(1,), (2,)], torch.zeros(1, 1, 1, 1))
    assert store.find([(1,), (2,)]) == []
