"""The summary of a large run is readable in 80 columns, and says what is not known."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from flows.command_line import summary as room
from flows.command_line import terminal


def share(teacher: str, **changes: Any) -> dict[str, Any]:
    return {
        "teacher": teacher,
        "share": 0.5,
        "median_gain": 0.0123,
        "proposals": 3_654_321,
        "tokens_proposed": 987_654_321,
        "tokens_kept": 98_765_432,
        "tokens_thrown_away": 888_888_889,
        "prompt_tokens": 12_345_678_901,
        "cache_hits": 0.9512,
        "seconds_busy": 98_765.4,
    } | changes


SUMMARY: dict[str, Any] = {
    "run_id": "limo-0123456789",
    "release": "limo@12",
    "problems": 817,
    "correct": 700,
    "records": 690,
    "wrong": 100,
    "quarantined": 27,
    "mean_score": 0.91,
    "tokens_kept": 197_530_864,
    "tokens_thrown_away": 1_777_777_778,
    "tokens_proposed": 1_975_308_642,
    "tokens_reused": 1_000_000,
    "tokens_per_record": 2_862_766.1,
    "prompt_tokens": 24_691_357_802,
    "cache_hits": 0.9512,
    "missing": {"qwq-32b": 12, "phi4": 1},
    "meta_prover": {
        "engine": "Qwen/QwQ-32B on vllm 0.32.0, scored by forced decoding",
        "requests": 7_308_642,
        "seconds_busy": 88_765.4,
    },
    "servers": [
        {
            "server": "http://gpu-node-1.cluster.example:8000/v1",
            "prompt_tokens": 44_691_357_802,
            "generation_tokens": 1_975_400_000,
            "cache_hits": 0.9631,
        },
        {
            "server": "http://gpu-2:8000/v1",
            "prompt_tokens": None,
            "generation_tokens": None,
            "cache_hits": None,
        },
    ],
    "seconds": 100_000.0,
    "shares": [share("qwq-32b"), share("phi4", cache_hits=None, seconds_busy=None, share=0.0)],
}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as a terminal of 80 columns."""
    page = io.StringIO()
    console = Console(file=page, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "out", console)
    monkeypatch.setattr(room, "out", console)
    return page


def test_a_large_run_fits_into_80_columns(shown: io.StringIO) -> None:
    room.print_summary(SUMMARY)
    page = shown.getvalue()
    assert max(map(len, page.splitlines())) <= 80
    for said in (
        "1,975,308,642 proposed (1,000,000 by earlier runs): 197,530,864 kept",
        "2,862,766",
        "24,691,357,802 tokens, 95.1% from a cache",
        "scored by forced decoding",
        "7,308,642 requests",
        "qwq-32b in 12, phi4 in 1 of 817 problems",
        "http://gpu-node-1.cluster.example:8000/v1",
    ):
        assert said.replace(" ", "") in "".join(c for c in page if c not in " │\n"), said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in page.splitlines()]
    costs = ["3.65M", "988M", "98.8M", "889M", "12.3G"]
    assert ["qwq-32b", *costs, "95.1%", "98765"] in rows, "in one line"
    assert ["phi4", *costs, "-", "-"] in rows
    assert ["http://gpu-2:8000/v1", "-", "-", "-"] in rows


def test_a_run_of_nothing_has_a_summary(shown: io.StringIO) -> None:
    nothing = dict.fromkeys((k for k, v in SUMMARY.items() if isinstance(v, int | float)), 0)
    room.print_summary(
        SUMMARY
        | nothing
        | {
            "mean_score": None,
            "tokens_per_record": None,
            "cache_hits": None,
            "missing": {},
            "meta_prover": {"engine": "", "requests": None, "seconds_busy": None},
            "servers": [],
            "shares": [],
        }
    )
    assert "0 proposed: 0 kept, 0 thrown away" in shown.getvalue()
    assert "meta-prover" not in shown.getvalue() and "missing" not in shown.getvalue()


@pytest.mark.parametrize(
    ("number", "short"),
    [
        (None, "-"), (0, "0"), (9999, "9999"), (10_000, "10k"), (12_345, "12.3k"),
        (999_499, "999k"), (999_500, "1M"), (4_560_000, "4.56M"), (2 * 10**12, "2T"),
    ],
)  # fmt: skip
def test_a_large_number_is_short(number: int | None, short: str) -> None:
    assert room._short(number) == short
    assert len(room._short(number)) <= 5
