"""`cord distill`, `cord evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cord.errors import CordError
from cord.scheduler import Stopped
from flows.command_line.options import Json, LakeUri, RecipePath
from flows.command_line.terminal import (
    print_json,
    print_table,
    say,
    stopping_gently,
    watching,
)

AGAIN = "the same command goes on"


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(distill)
    app.command()(evaluate)


def distill(
    recipe: RecipePath,
    lake: LakeUri = "./lake",
    out: Annotated[
        Path | None, typer.Option(help="The student's folder; by default students/NAME.")
    ] = None,
    json: Json = False,
) -> None:
    """Fine-tune a student on a release, a run, or a file. A finished student is not trained again.

    What is written there is a model folder: `cord evaluate` and `vllm serve` take it."""
    from flows.launch_students import carry_out_distill, prepare_distill

    say(f"cord: reading {recipe}")
    launch = prepare_distill(recipe, lake, out)
    if launch.done is not None:
        shown = launch.done.model_dump(mode="json")
        if json:
            print_json({**shown, "out": str(launch.out), "nothing_to_do": True})
        else:
            say(f"cord: nothing to do: the student in {launch.out} is finished")
        return
    if not json:
        from flows.command_line.checking_students import settings_rows

        print_table(("setting", "value"), settings_rows(launch.recipe))
    say(f"cord: {launch.conversations} conversations of {launch.source}; into {launch.out}")
    done = _carried_out(lambda: carry_out_distill(launch), "the step under way")
    if json:
        print_json({**done, "out": str(launch.out)})
        return
    say(
        f"cord: {launch.out}: {done['examples']} conversations, {done['steps']} steps, loss "
        f"{done['first_loss']:.4f} -> {done['last_loss']:.4f} in {done['seconds']:.0f} s"
        + (f"; {n} were too long and left out" if (n := len(done["too_long"])) else "")
        + "; the curve is losses.svg there"
    )


def evaluate(recipe: RecipePath, lake: LakeUri = "./lake", json: Json = False) -> None:
    """Measure models on benchmarks: Pass@1 over n samples, with its 95 % interval.

    Answers are kept in the lake; only what is missing is sampled."""
    from flows.launch_students import carry_out_evaluate, known_results, prepare_evaluate

    say(f"cord: reading {recipe}")
    launch = prepare_evaluate(recipe, lake)
    told = known_results(launch)
    if told is not None:
        say("cord: nothing to sample: every answer is in the lake")
    else:
        told = _carried_out(lambda: carry_out_evaluate(launch), "dropping the answers under way")
    if json:
        print_json(told)
        return
    print_table(
        ("benchmark", "model", "Pass@1 %", "95 %", "to the first", "n", "tokens", "cut", "unsure"),
        [_row(result) for result in told["results"]],
        title=f"{told['name']}: mean over samples, then over problems",
    )


def _carried_out(work: Any, after: str) -> dict[str, Any]:
    from flows.servers import servers_end

    try:
        with stopping_gently(after=after, then=AGAIN), watching(), servers_end(say):
            done: dict[str, Any] = work()
            return done
    except Stopped:
        raise Stopped(f"stopped; what is done is kept: {AGAIN}") from None
    except CordError as error:
        error.args = (f"{error}\nWhat is done is kept: {AGAIN}",)
        raise


def _row(result: dict[str, Any]) -> tuple[object, ...]:
    difference = result["difference"]
    return (
        result["benchmark"],
        result["model"],
        f"{100 * result['pass_at_1']:.1f}",
        f"{100 * result['low']:.1f} - {100 * result['high']:.1f}",
        "-"
        if difference is None
        else f"{100 * difference['mean']:+.1f} "
        f"({100 * difference['low']:+.1f} - {100 * difference['high']:+.1f})",
        f"{result['problems']} x {result['samples']}",
        f"{result['mean_tokens']:.0f}",
        result["cut"],
        result["undecided"],
    )
