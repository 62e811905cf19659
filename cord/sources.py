"""Raw rows out of a problem source: JSON lines, Parquet, folders of them, the hub, S3.

JSON lines are read here, line by line, and not by `datasets`: its JSON reader gives up a whole file
for one bad line, and guesses types (an id `007` becomes 7, a date-like answer a timestamp). Lines
end at `\\n` only, since U+2028 may stand inside one. Parquet and hub data sets are read by
`datasets` as a stream of Arrow batches, from which only the wanted columns are taken, value by
value, so that one bad value costs one row. Memory holds one line or one batch; nothing is left in
the home folder.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, Literal

from cord.errors import CordError, ProblemsError
from cord.recipe import ProblemSource, find_beside
from cord.s3_download import download

MAX_LINE_BYTES = 16 << 20
MAX_CONTENT_CHARACTERS = 10_000
BATCH_ROWS = 256

_JSONL = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_ENDINGS = {"jsonl": _JSONL, "parquet": (".parquet",), "auto": (*_JSONL, ".parquet")}
_SINGLE_JSON = (".json", ".json.gz")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row, good or bad."""

    source: str
    """`file:line` or `dataset:row`, counted from 1."""
    columns: tuple[str, ...]
    values: dict[str, object]
    """The wanted columns that it has; of JSON lines, all it has."""
    content: str
    """The row as text, shortened."""
    fault: str = ""
    """Why it cannot be used; empty when it can."""


@contextmanager
def open_rows(
    source: ProblemSource, folder: Path, wanted: tuple[str, ...]
) -> Iterator[Iterator[RawRow]]:
    """The rows of `source`, in the order of files and lines. `folder` is the recipe's.

    Raises `ProblemsError`, here or while iterating, when a source or a file cannot be read."""
    if source.source == "hf":
        with tempfile.TemporaryDirectory(prefix="cord-") as cache:
            yield _hub_rows(source, wanted, cache)
        return
    with ExitStack() as stack:
        if source.path.startswith("s3://"):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cord-")))
            files = download(source.path, scratch, _ENDINGS[source.source])
        else:
            files = _local_files(source, folder)
        yield (row for label, file in files for row in _file_rows(label, file, source, wanted))


def _local_files(source: ProblemSource, folder: Path) -> list[tuple[str, Path]]:
    """(name for messages, path) of each file, sorted."""
    try:
        path = Path(find_beside(source.path, folder))
        if path.is_file():
            return [(source.path, path)]
        if path.is_dir():
            endings = _ENDINGS[source.source]
            files = sorted(
                file
                for file in path.rglob("*")
                if file.name.lower().endswith(endings)
                and file.is_file()
                and not any(part[0] in "._" for part in file.relative_to(path).parts)
            )
            if files:
                prefix = source.path.rstrip("/")
                names = (_printable(file.relative_to(path).as_posix()) for file in files)
                return [(f"{prefix}/{name}", file) for name, file in zip(names, files, strict=True)]
            raise ProblemsError(
                f"problems.path: no problems in the folder {source.path}: "
                f"it holds no file that ends in {', '.join(endings)}"
            )
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in it; a link to itself
        raise ProblemsError(f"problems.path: {source.path!r} cannot be read: {error}") from None
    if Path(source.path).is_absolute():
        looked = ""
    else:
        looked = f"; looked in {folder.resolve()} (beside the recipe) and in {Path.cwd()}"
    hub = "; for a data set on the hub, add `source: hf`" if source.path.count("/") == 1 else ""
    raise ProblemsError(f"problems.path: there is no file or folder {source.path}{looked}{hub}")


def _file_rows(
    label: str, path: Path, source: ProblemSource, wanted: tuple[str, ...]
) -> Iterator[RawRow]:
    kind: Literal["jsonl", "parquet"] | None = None
    name = path.name.lower()
    if source.source in ("jsonl", "parquet"):
        kind = source.source
    elif name.endswith((*_JSONL, *_SINGLE_JSON)):
        kind = "jsonl"
    elif name.endswith(".parquet"):
        kind = "parquet"
    if kind is None:
        raise ProblemsError(
            f"{label}: its ending does not say what it is; known are {', '.join(_ENDINGS['auto'])}."
            " Rename it, or give `source: jsonl` or `source: parquet`"
        )
    try:
        rows = _json_rows(label, path) if kind == "jsonl" else _parquet_rows(label, path, wanted)
        yield from rows
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ProblemsError(
            f"{label}: the compressed data is torn ({error}); fetch the file again"
        ) from None
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise ProblemsError(f"{label}: cannot be read: {reason}") from None


def _json_rows(label: str, path: Path) -> Iterator[RawRow]:
    with ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(path.open("rb"))
        magic = stream.read(2)
        stream.seek(0)
        if magic == b"\x1f\x8b":
            stream = stack.enter_context(io.BufferedReader(gzip.GzipFile(fileobj=stream)))
        for number, line, whole in _lines(stream):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                if number == 1 and path.name.lower().endswith(_SINGLE_JSON):
                    _refuse_a_document(label, text.strip())
                yield _json_row(f"{label}:{number}", text, whole)


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """(number, line, whether it is whole); of a line over the limit only the beginning."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        whole = len(line) <= MAX_LINE_BYTES or line.endswith(b"\n")
        rest = b"" if whole else line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield number, line, whole


def _refuse_a_document(label: str, line: bytes) -> None:
    if line in (b"[", b"{") or line.startswith(b"[{"):
        raise ProblemsError(
            f"{label}: this is one JSON document; write JSON lines instead, one object a line"
        )


def _json_row(source: str, line: bytes, whole: bool) -> RawRow:
    head = line[: 4 * MAX_CONTENT_CHARACTERS].strip()
    content = head.decode("utf-8", "backslashreplace")[:MAX_CONTENT_CHARACTERS]

    def bad(fault: str) -> RawRow:
        return RawRow(source, (), {}, content, fault)

    if not whole:
        return bad(f"the line is longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        value = json.loads(
            line.rstrip(b"\r\n").decode("utf-8"),
            parse_float=_exactly,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        return bad(f"not valid UTF-8 at byte {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return bad(f"not valid JSON at character {error.pos + 1}: {error.msg}")
    except ValueError as error:  # NaN; an integer of more digits than Python reads
        return bad(f"not valid JSON: {_first_line(error)}")
    except RecursionError:
        return bad("the JSON is nested too deeply")
    if not isinstance(value, dict):
        return bad("the line is not a JSON object")
    if isinstance(value, _Ambiguous):
        return bad(f"the key {value.repeated!r} stands twice in it")
    return RawRow(source, tuple(value), value, content)


class _Ambiguous(dict[str, object]):
    """An object with one key twice: nobody knows which value is meant."""

    repeated = ""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(values := dict(pairs)) == len(pairs):
        return values
    ambiguous = _Ambiguous(values)
    ambiguous.repeated = Counter(name for name, _ in pairs).most_common(1)[0][0][:60]
    return ambiguous


def _exactly(number: str) -> Decimal:
    """With all the digits that were written."""
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent of twenty digits
        raise ValueError(f"the number {number[:30]} is out of range") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _parquet_rows(label: str, path: Path, wanted: tuple[str, ...]) -> Iterator[RawRow]:
    with tempfile.TemporaryDirectory(prefix="cord-") as cache:
        try:
            # A batch size of our own: else it is that of the first row group, which may be 0.
            files = {"data_files": [str(path)], "batch_size": BATCH_ROWS}
            dataset = _load("parquet", "train", cache, **files)
            yield from _arrow_rows(label, dataset, wanted)
        except CordError:
            raise
        except Exception as error:
            raise ProblemsError(
                f"{label}: cannot be read as Parquet: {_first_line(error)}"
            ) from None


def _hub_rows(source: ProblemSource, wanted: tuple[str, ...], cache: str) -> Iterator[RawRow]:
    name, split = source.path, source.split
    chosen = {} if source.subset is None else {"name": source.subset}
    try:
        yield from _arrow_rows(name, _load(name, split, cache, **chosen), wanted)
    except CordError:
        raise
    except ConnectionError:
        raise ProblemsError(
            f"problems.path: the hub's data set {name} cannot be reached; "
            "look at the network, HF_ENDPOINT and HF_HUB_OFFLINE, or use a downloaded copy"
        ) from None
    except FileNotFoundError:  # datasets' DatasetNotFoundError is one
        raise ProblemsError(
            f"problems.path: there is no data set {name} on the hub, or it is private: "
            "look at the name, and set HF_TOKEN if it needs one"
        ) from None
    except Exception as error:  # whatever a stranger's data set makes the library say
        raise ProblemsError(
            f"problems.path: the hub's data set {name} (split {split}) cannot be read: "
            f"{_first_line(error)}"
        ) from None


def _load(path: str, split: str, cache: str, **options: Any) -> Any:
    import datasets  # half a second to import: only when it is needed

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # a local file is no business of the hub's
    return datasets.load_dataset(path, split=split, streaming=True, cache_dir=cache, **options)


def _arrow_rows(label: str, dataset: Any, wanted: tuple[str, ...]) -> Iterator[RawRow]:
    number = 0
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        columns = tuple(table.column_names)
        present = {name: table.column(name) for name in wanted if name in columns}
        for place in range(table.num_rows):
            number += 1
            values: dict[str, object] = {}
            fault = ""
            for name, column in present.items():
                try:
                    values[name] = column[place].as_py()
                except Exception as error:  # a zone that is nowhere is a KeyError, and so on
                    fault = f"column {name!r} holds a value that cannot be read: "
                    fault += _first_line(error)
            content = json.dumps(values, ensure_ascii=False, default=str)
            content = content[:MAX_CONTENT_CHARACTERS]
            yield RawRow(f"{label}:{number}", columns, values, content, fault)


def _printable(name: str) -> str:
    """A file's name may be bytes that are no text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    line = lines[0][:300] if lines else type(error).__name__
    return line.encode("utf-8", "backslashreplace").decode()
