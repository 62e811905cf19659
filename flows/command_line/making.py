"""`cord init` and `cord teachers train`: what makes files outside the lake."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cord.errors import UsageError
from flows.command_line.options import Json
from flows.command_line.terminal import print_json, say

STARTER_RECIPE = """\
# A recipe that runs as it is, on the small models that cord ships: `cord run recipe.yaml`.
# Relative paths are looked for beside this file.
name: my-data
problems: {path: problems.jsonl, question: question, answer: answer}

teachers:
  - {name: ada, model: "cord:ada", temperature: 0.6}
  - {name: ben, model: "cord:ben", temperature: 0.6}
  - {name: cyd, model: "cord:cyd", temperature: 0.6}
meta_prover: {model: "cord:meta"}
# With your own models behind vLLM servers it reads:
#   - {name: qwq, url: "http://gpu-1:8000/v1", model: Qwen/QwQ-32B, temperature: 0.6}
# meta_prover: qwq                # one of the teachers, or a model of its own
# A server's key comes from the environment: api_key_env: QWQ_API_KEY

search: {width: 4, max_steps: 12, max_step_tokens: 48, max_tokens: 400}
run: {seed: 7, shards: 4, workers: 4}
verify: math
deduplicate: {near: 0.8}
contract: {min_correct: 0.7}      # of the problems read; or nothing is published (exit 3)
publish: {keep: best}
"""


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(init)
    teachers = typer.Typer(
        help="The small models that cord ships.", no_args_is_help=True, rich_markup_mode=None
    )
    teachers.callback()(_small_models)
    teachers.command()(train)
    app.add_typer(teachers, name="teachers")


def _small_models() -> None:
    """Makes `train` a subcommand although it is the only one."""


def init(
    folder: Annotated[Path, typer.Argument(help="Where to begin.")] = Path(),
    json: Json = False,
) -> None:
    """Write a first recipe and its problems into a folder; both run as they are."""
    from cord.miniature.problems import write_problems

    recipe, problems = folder / "recipe.yaml", folder / "problems.jsonl"
    for path in (recipe, problems):
        if path.exists():
            raise UsageError(f"{path} is there already; choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        recipe.write_text(STARTER_RECIPE, encoding="utf-8")
        write_problems(problems, 24, seed=1)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    if json:
        print_json({"recipe": str(recipe), "problems": str(problems)})
    else:
        say(f"wrote {recipe} and {problems}; next: cord run {recipe}")


def train(
    out: Annotated[Path, typer.Argument(help="Folder for the four models.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 7,
    quick: Annotated[bool, typer.Option(help="A few steps only, to see that it works.")] = False,
    json: Json = False,
) -> None:
    """Train the three small teachers and the meta-prover from nothing (about 12 minutes)."""
    from cord.miniature.training import Progress, train_teachers

    def progress(at: Progress) -> None:
        if at.step == at.steps or at.step % 50 == 0:
            say(f"{at.model}: step {at.step} of {at.steps}, loss {at.loss:.3f}")

    try:  # before minutes are spent
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from None
    train_teachers(out, seed, progress=progress, quick=quick)
    names = sorted(path.name for path in out.iterdir() if (path / "config.json").exists())
    if json:
        print_json({"out": str(out), "models": names})
    else:
        say(
            f"trained {', '.join(names)} in {out}; use one as `model: {out / names[0]}` with "
            "`engine: embedded`"
        )
