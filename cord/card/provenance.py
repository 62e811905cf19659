"""Who and what made a release: the parts of a card that tell of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cord.card.escaping import code, plain, table
from cord.card.source import METHOD

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest

NOT_STATED = "not stated"


def provenance(manifest: Manifest) -> str:
    """Names and hashes, then the problems and the models with their licences."""
    parent = f"{manifest.name}@{manifest.parent}" if manifest.parent else "none"
    facts = [
        ("release", code(manifest.label)),
        ("published", f"{manifest.created_at:%Y-%m-%d %H:%M} UTC"),
        ("version before", code(parent)),
        ("run", code(manifest.run_id)),
        ("fingerprint of the recipe", code(manifest.recipe)),
        ("hash of the content", code(manifest.content_hash)),
    ]
    source = manifest.source
    if source:
        facts.append(("made by", plain(f"cord {source.get('cord', '')}")))
        facts += _problems(source.get("problems") or {})
    models = _models(source)
    return table(("", ""), facts) + (f"\n{models}" if models else "")


def made(manifest: Manifest) -> str:
    """The method, and whom to cite."""
    source = manifest.source
    search = source.get("search") or {}
    settings = ", ".join(
        f"{name.replace('_', ' ')} {code(search[name])}"
        for name in ("strategy", "width", "criterion", "segmentation", "max_steps", "max_tokens")
        if search.get(name) is not None
    )
    return (
        "At every step each teacher proposes how to go on; a meta-prover scores each proposal by "
        "how predictable it makes the reference answer (*predictive perplexity*), and a search "
        "over steps keeps the best. Finished trajectories are verified against the reference "
        "answer; correct ones are deduplicated, decontaminated and held against a contract."
        + (f"\n\nThe search: {settings}, seed {code(source.get('seed', ''))}." if settings else "")
        + "\n\nThe steps and answers are written by language models: right answers may stand over "
        "wrong steps, and what the teachers' makers ask of their output applies to it.\n\n"
        "The method is collaborative step-wise multi-teacher decoding (CoRD): "
        f"[{METHOD}](https://arxiv.org/abs/{METHOD.split()[-1]})."
    )


def _problems(problems: dict[str, Any]) -> list[tuple[str, str]]:
    name = code(problems.get("name") or NOT_STATED)
    parts = [
        f"{what} {code(problems[what])}"
        for what in ("subset", "split", "limit")
        if problems.get(what) is not None
    ]
    where = "on the Hugging Face hub" if problems.get("on_hub") else ""
    return [
        ("problems", ", ".join(filter(None, [name, where, *parts]))),
        ("licence of the problems", plain(problems.get("licence") or NOT_STATED)),
    ]


def _models(source: dict[str, Any]) -> str:
    teachers = [(f"teacher {code(t['name'])}", t["name"], t) for t in source.get("teachers") or []]
    roles = [(plain(role), role, model) for role, model in (source.get("roles") or {}).items()]
    engines = source.get("engines") or {}
    rows = [
        (
            role,
            code(model["model"]),
            plain(model.get("licence") or NOT_STATED),
            NOT_STATED if model.get("temperature") is None else f"{model['temperature']:g}",
            plain(engines.get(name) or model.get("engine") or NOT_STATED),
        )
        for role, name, model in [*teachers, *roles]
    ]
    return table(("role", "model", "licence", "temperature", "engine"), rows)
