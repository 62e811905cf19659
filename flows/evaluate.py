"""`cord evaluate` as a flow: each model on each benchmark, on Prefect's dashboard.

One model after the other, so that several large ones that cord serves itself share the GPUs; its
server is stopped before the next one's is started.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from cord.engines.managed.keeper import any_server, stop_servers
from cord.intervals import paired_interval
from flows.at_work import in_its_own_thread
from flows.heartbeats import beating
from tasks.evaluate import evaluate_model, keep_results

Shares = dict[tuple[str, str], dict[str, float]]


@flow(
    name="evaluate",
    flow_run_name="{name}",
    persist_result=False,
    result_serializer="json",
    log_prints=False,
)
def evaluate(name: str, recipe: dict[str, Any], folder: str, lake: str) -> dict[str, Any]:
    """Measure the recipe's models; returns what `evaluations/NAME.json` holds.

    The lake is what counts: Retry, or the same command, samples only what is missing."""
    with beating():
        return in_its_own_thread(lambda: measure(name, recipe, folder, lake))


def measure(name: str, recipe: dict[str, Any], folder: str, lake: str) -> dict[str, Any]:
    """The body of the flow."""
    results: list[dict[str, Any]] = []
    shares: Shares = {}
    for model in recipe["models"]:
        for benchmark in recipe["benchmarks"]:
            done = evaluate_model(lake, recipe, folder, model["name"], benchmark["name"])
            results.append(done["result"])
            shares[model["name"], benchmark["name"]] = done["shares"]
        if any_server():
            stop_servers()
    told = told_of(name, results, shares, recipe["seed"])
    keep_results(lake, name, told)
    return told


def told_of(name: str, results: list[dict[str, Any]], shares: Shares, seed: int) -> dict[str, Any]:
    """All figures of an evaluation; each model's difference to the first one is drawn in pairs, on
    the same problems."""
    first = results[0]["model"]
    for result in results:
        ours = shares[result["model"], result["benchmark"]]
        theirs = shares[first, result["benchmark"]]
        if result["model"] == first or ours.keys() != theirs.keys():
            result["difference"] = None
            continue
        found = paired_interval(list(ours.values()), [theirs[one] for one in ours], seed)
        result["difference"] = {"to": first, "mean": found.mean, "low": found.low}
        result["difference"]["high"] = found.high
    return {"name": name, "results": results}
