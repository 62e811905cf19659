import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from cord.engines.embedded.sampling import choose, rounded, uniforms


def chosen(
    logits: torch.Tensor, temperature: float, top_p: float, uniform: list[float]
) -> list[int]:
    rows = len(uniform)
    return choose(
        logits.expand(rows, -1),
        torch.full((rows,), temperature, dtype=torch.float64),
        torch.full((rows,), top_p, dtype=torch.float64),
        torch.tensor(uniform, dtype=torch.float64),
    ).tolist()


def test_without_temperature_the_first_of_the_likeliest_is_chosen() -> None:
    assert chosen(torch.tensor([[0.0, 3.0, 1.0, 3.0]]), 0.0, 1.0, [0.99]) == [1]


def test_probabilities_are_read_off_at_the_uniform_number() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    assert chosen(logits, 1.0, 1.0, [0.0, 0.49, 0.51, 0.74, 0.76]) == [0, 0, 1, 1, 2]


def test_temperature_sharpens_and_flattens() -> None:
    """p^(1/T): (1/2, 1/4, 1/4) at T = 1/2 is (4/6, 1/6, 1/6)."""
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    assert chosen(logits, 0.5, 1.0, [0.66, 0.67, 0.84]) == [0, 1, 2]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    grid = [n / 100 for n in range(100)]
    assert set(chosen(logits, 1.0, 0.49, grid)) == {1}
    assert set(chosen(logits, 1.0, 0.51, grid)) == {1, 2}
    assert set(chosen(logits, 1.0, 0.81, grid)) == {0, 1, 2}


@given(
    uniform=st.sampled_from([0.0, 1 - 2.0**-53]) | st.floats(0, 1, exclude_max=True),
    temperature=st.sampled_from([0.0, 1e-320, 0.3, 1.0, 5.0]),
)
def test_what_is_impossible_is_never_chosen(uniform: float, temperature: float) -> None:
    logits = torch.tensor([[-torch.inf, 1.0, -torch.inf, 2.0, -torch.inf]])
    assert chosen(logits, temperature, 1.0, [uniform])[0] in (1, 3)


@given(st.integers(0, 2**32), st.integers(2, 9))
def test_a_rows_choice_does_not_depend_on_the_others(seed: int, rows: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(rows, 50, dtype=torch.float64) * 3
    temperature = torch.rand(rows, dtype=torch.float64).round(decimals=1)
    top_p = 1 - torch.rand(rows, dtype=torch.float64) / 2
    uniform = torch.rand(rows, dtype=torch.float64)
    together = choose(logits, temperature, top_p, uniform)
    for row in range(rows):
        one = slice(row, row + 1)
        alone = choose(logits[one], temperature[one], top_p[one], uniform[one])
        assert alone.item() == together[row].item()


def test_noise_below_the_grid_does_not_reach_a_score() -> None:
    logprobs = torch.tensor([-1.25, -3e-9, -17.123456789], dtype=torch.float64)
    noisy = logprobs + torch.tensor([3e-15, -2e-15, 1e-14], dtype=torch.float64)
    assert rounded(noisy).tolist() == rounded(logprobs).tolist() == [-1.25, 0.0, -17.1234568]


def test_uniform_numbers_are_counted_not_remembered() -> None:
    """The nth number is a function of (seed, n) alone; this value may never change."""
    long, short = uniforms(7, 1000), uniforms(7, 3)
    assert long[:3].tolist() == short.tolist()
    assert uniforms(7, 1)[0] == 0.8720734548204873
    assert long.min() >= 0 and long.max() < 1
    assert abs(long.mean() - 0.5) < 0.05
    assert not np.array_equal(uniforms(2**63 - 1, 5), uniforms(8, 5))
