"""The page around the data: its head, its style, its scripts, and what it may do.

Its policy names the scripts by their hash and allows nothing else: no other script, no connection,
no frame, no form. The head is filled in by Jinja, escaped; data comes in blocks
(`cord.report.blocks`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cord.report.blocks import packed
from cord.report.figures import Head
from cord.report.lines import OUTCOMES, Listing
from cord.report.pictures import Picture

_SCRIPTS = ("data.js", "text.js", "list.js", "tree.js", "problem.js", "start.js")
"""One script in the page, in this order."""
_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, slots=True)
class Page:
    """All that stands before the data."""

    head: Head
    pictures: Sequence[Picture]
    listing: Listing
    authors: Sequence[str]
    colours: Sequence[str]


def write_beginning(out: TextIO, page: Page) -> None:
    """Everything up to the list."""
    environment = Environment(
        loader=PackageLoader("cord.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
    )
    environment.filters.update(data_uri=_data_uri)
    about = {
        "run": page.head.run.run_id,
        "authors": list(page.authors),
        "colours": list(page.colours),
        "outcomes": list(OUTCOMES),
        "problems": len(page.listing.lines),
        "blocks": len(page.listing.blocks),
    }
    html = environment.get_template("page.html.j2").render(
        page=page,
        head=page.head,
        outcomes=OUTCOMES,
        about=packed(about),
        style=Markup(_read("page/style.css")),  # noqa: S704 - our own file
        policy=policy(),
    )
    out.write(html)


def write_scripts(out: TextIO) -> None:
    """The scripts: behind the list, which they show at once, and before the trees."""
    for text in (_script(), _read("vendor/temml.min.js")):
        out.write(f"<script>{text}</script>\n")


def write_end(out: TextIO) -> None:
    """Everything behind the data."""
    out.write("</body>\n</html>\n")


def policy() -> str:
    """The page's Content-Security-Policy."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (_script(), _read("vendor/temml.min.js"))
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _script() -> str:
    body = "\n".join(_read(f"page/{name}") for name in _SCRIPTS)
    return f"'use strict';\n(() => {{\n{body}\n}})();"


@cache
def _read(name: str) -> str:
    return files("cord.report").joinpath(name).read_text(encoding="utf-8")


def _visible(value: object) -> object:
    """Marks that would steer the reader, written out (`\\u202e`)."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
