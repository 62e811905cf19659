"""A lake on a folder: complete files or none, on any POSIX filesystem."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cord.errors import LakeError
from cord.lake.stores.store import Entry, Keys, Unfinished, checked_key

_PARTIAL = re.compile(r"^\.[0-9a-f]{32}\.partial$")
_PASSING = re.compile(rf"{_PARTIAL.pattern}|^_commit_.*\.tmp$|#\d+$")
"""Passing names: our own, and those under which deltalake writes commits and files."""
_PIECE = 1 << 20


class FolderStore:
    """A store on a folder. Crash-safe: content is synced to disk before it gets its name."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).expanduser().absolute()
        path = os.path.normpath(self._folder)
        self._folder = Path(path)
        if re.search(r"[%\[\]\\\x00-\x1f\x7f]", path):
            # Measured: deltalake 1.6.6 panics on [ ], and reads another folder for %20 and \.
            raise LakeError(
                f"the lake's folder {path!r} has one of % [ ] \\ or a control character in its "
                "path, which Delta tables cannot be kept under; choose another folder"
            )

    @property
    def root(self) -> str:
        """The folder's absolute path."""
        return str(self._folder)

    @property
    def gather_s(self) -> float:
        """A write is two names and a sync."""
        return 0.05

    def read(self, key: str) -> bytes | None:
        """See `Store.read`."""
        with self._speaking("read", key):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def write(self, key: str, data: bytes) -> None:
        """See `Store.write`: write beside, sync, rename."""
        with self._speaking("write", key), self._beside(key, data) as (partial, path):
            os.replace(partial, path)

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`: a hard link is refused when the name is taken, even by a racer."""
        with self._speaking("write", key), self._beside(key, data) as (partial, path):
            try:
                os.link(partial, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                    raise
                return _create_without_links(path, data)
            return True

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store.delete`. Empty folders stay: somebody may be about to write there."""
        for key in keys:
            with self._speaking("delete", key), suppress(FileNotFoundError, NotADirectoryError):
                self._path(key).unlink()

    def list(self, prefix: str = "") -> Keys:
        """See `Store.list`."""
        start = self._folder / checked_key(prefix, prefix=True).rpartition("/")[0]
        with self._speaking("list", prefix):
            if not start.is_dir():
                return []
            found = [
                (Path(folder) / name).relative_to(self._folder).as_posix()
                for folder, _, names in os.walk(start, onerror=_raise)
                for name in names
                if not _PASSING.search(name)
            ]
        return sorted(key for key in found if key.startswith(prefix))

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """See `Store.entries`."""
        found = {}
        for key in self.list(prefix):
            with self._speaking("read", key), suppress(FileNotFoundError):
                about = self._path(key).stat()
                found[key] = Entry(about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))
        return found

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Store.unfinished`: files under passing names."""
        with self._speaking("list", ""):
            for folder, _, names in os.walk(self._folder, onerror=_raise):
                for name in filter(_PASSING.search, names):
                    path = Path(folder) / name
                    with suppress(FileNotFoundError):
                        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                        yield Unfinished(path.relative_to(self._folder).as_posix(), since)

    def discard(self, unfinished: Unfinished) -> None:
        """See `Store.discard`."""
        self.delete([unfinished.where])

    def digest(self, key: str) -> tuple[str, int] | None:
        """See `Store.digest`."""
        hashed, size = sha256(), 0
        with self._speaking("read", key):
            try:
                with self._path(key).open("rb") as file:
                    while piece := file.read(_PIECE):
                        hashed.update(piece)
                        size += len(piece)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        return hashed.hexdigest(), size

    def uri(self, key: str) -> str:
        """See `Store.uri`."""
        return str(self._path(key))

    def explain(self, text: str, key: str) -> str | None:
        """See `Store.explain`: Rust names the system's error number."""
        if not (found := re.search(r"\(os error (\d+)\)", text)):
            return None
        error = OSError(int(found[1]), os.strerror(int(found[1])))
        return f"cannot use {key!r} in the lake {self.root}: {_in_words(error)}"

    def delta_options(self) -> dict[str, str]:
        """Nothing: the path says it all."""
        return {}

    def duckdb_secret(self) -> dict[str, str] | None:
        """None: a folder needs no credentials."""
        return None

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)

    @contextmanager
    def _beside(self, key: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """Complete content under a passing name in the same folder: (passing name, path)."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.parent / f".{uuid.uuid4().hex}.partial"
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield partial, path
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                partial.unlink()

    @contextmanager
    def _speaking(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"cannot {verb} {key or 'anything'!r} in the lake {self.root}: {_in_words(error)}"
            ) from error


def _in_words(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; give yourself the right to it, or choose another --lake"
    if error.errno == errno.EROFS:
        return "the filesystem is read-only; choose another --lake"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "a file stands where a folder is needed; choose another --lake"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room, then run the same command again"
    return f"{error.strerror or type(error).__name__}; check the disk, or choose another --lake"


def _create_without_links(path: Path, data: bytes) -> bool:
    """Filesystems without hard links: the name is still taken exclusively, then filled."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
