"""datatrove's NGramsDecontFilter on our rows.

datatrove is no dependency of cord. It runs in a process of its own, by the Python that
CORD_DATATROVE_PYTHON names, else by this one where datatrove is installed. Ours is only the index:
its indexer wants lighteval and a hub, so the items are hashed here as it would do it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PYTHON = "CORD_DATATROVE_PYTHON"
MISSING = (
    'datatrove is not installed: pip install datatrove==0.10.1 spacy "xxhash<4" into an '
    f"environment of its own, and give its Python as {PYTHON}"
)


def peer_python() -> str | None:
    """The Python that has datatrove; None where there is none."""
    if named := os.environ.get(PYTHON):
        return named
    return sys.executable if importlib.util.find_spec("datatrove") else None


def seconds_and_flagged(
    python: str, items: Sequence[str], texts: Sequence[str], words: int
) -> tuple[float, list[int]]:
    """(seconds of the processor for the texts, which of them it drops)."""
    asked = json.dumps({"items": list(items), "texts": list(texts), "words": words})
    done = subprocess.run(
        [python, "-m", __name__], input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"datatrove's filter failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return float(answer["seconds"]), [int(place) for place in answer["flagged"]]


def main() -> None:
    """Read {items, texts, words} from stdin, print {seconds, flagged}; runs where datatrove is."""
    import numpy as np
    from datatrove.data import Document
    from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text

    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        config = NGramsDecontConfig(n_grams=asked["words"], find_query_ngrams=True)
        dropping = NGramsDecontFilter(folder, config)
        hashes = {
            dropping.hash_func(" ".join(row))
            for item in asked["items"]
            for row in ngrams(
                dropping.tokenizer.word_tokenize(simplify_text(item, config.norm_config)),
                asked["words"],
            )
        }
        index = np.array(sorted(hashes), config.hash_config.np_descr)
        index.tofile(Path(folder) / "items.index.hashes")
        documents = [Document(text, str(place)) for place, text in enumerate(asked["texts"])]
        dropping.filter(Document("loads the index and the tokenizer", ""))
        begun = time.process_time()
        flagged = [int(one.id) for one in documents if dropping.filter(one) is not True]
        seconds = time.process_time() - begun
    print(json.dumps({"seconds": seconds, "flagged": flagged}))


if __name__ == "__main__":
    main()
