"""The data card of a release, in the form of the Hugging Face hub: `README.md` of its data set.

Made of the manifest alone, so that the same release has the same card wherever it is asked for.
Everything that came from a recipe, a data set or a model is escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cord.card import sections
from cord.card.escaping import plain
from cord.card.head import head
from cord.card.loading import loading
from cord.card.provenance import made, provenance

if TYPE_CHECKING:
    from cord.lake.releases.manifest import Manifest


def card(manifest: Manifest) -> str:
    """The card as Markdown behind a YAML head."""
    title = f"# {plain(manifest.name)}, version {manifest.version}\n\n{sections.opening(manifest)}"
    bodies = {
        "Load it": loading(manifest),
        "Fields": sections.fields(),
        "Counts": sections.counts(manifest),
        "Where it comes from": provenance(manifest),
        "Checked against": sections.checked(manifest),
        "Quality": sections.quality(manifest),
        "Contract": sections.contract(manifest),
        "How it was made": made(manifest),
    }
    parts = [f"## {name}\n\n{body.strip()}\n" for name, body in bodies.items() if body]
    return "\n".join([head(manifest), title.strip() + "\n", *parts])
