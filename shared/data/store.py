"""An immutable store addressed by content: what was written once under a digest never changes.

Steps of a flow pass `Ref`s, small JSON handles, instead of data. Equal content has an equal digest, so it is
stored once, results cache across runs, and any machine that sees the store can take the next step. Layout:
`ab/<sha256><suffix>`. The location is a local folder or any fsspec URL; remote blobs pass a cache.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.data.files import atomic_folder, atomic_path, scratch_file, sha256_file
from shared.data.home import home, is_remote
from shared.errors import FieldworkError, RequestError

if TYPE_CHECKING:
    import polars as pl

_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,16}){0,2}")
# Digests that this process has checked, by path: (size, mtime, inode) tells when a file must be read again.
_verified: dict[tuple[str, str], tuple[int, int, int]] = {}


class Ref(BaseModel):
    """Handle of one stored blob: small, JSON-able, and valid on every machine that sees the store."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="Place in the store: ab/<sha256><suffix>.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the content.")
    bytes: int = Field(ge=0, description="Size of the blob in bytes.")
    rows: int | None = Field(default=None, ge=0, description="Rows, where the blob is a table.")

    @model_validator(mode="after")
    def _path_follows_from_digest(self) -> "Ref":
        suffix = self.path.removeprefix(f"{self.sha256[:2]}/{self.sha256}")
        if suffix == self.path or not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"Expected a path like ab/<sha256>.parquet. Received {self.path!r}")
        return self


class _Tree(BaseModel):
    files: dict[str, Ref]
    empty_folders: list[str]


class Store:
    """Content-addressed blobs at a local folder or an fsspec URL.

    Safe with any number of writers: each has its own temporary name, and all of them write the same content.
    A blob is verified against its digest when it comes from afar and when a process first reads it.
    """

    def __init__(self, url: str | Path, cache: Path) -> None:
        self.url = str(url).removeprefix("file://")
        self.remote = is_remote(self.url)
        self._folder = Path(cache) / "blobs" if self.remote else Path(self.url)

    def put_file(self, path: Path, *, rows: int | None = None) -> Ref:
        """Store a copy of a file; its suffix is kept."""
        path = Path(path)
        if not path.is_file():
            raise RequestError(f"Expected a file to store. Received {path}, which is not one.")
        suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
        ref = _ref(sha256_file(path), path.stat().st_size, suffix if _SUFFIX.fullmatch(suffix) else "", rows)
        with self._absent(ref) as temporary:
            if temporary is not None:
                shutil.copyfile(path, temporary)
                if sha256_file(temporary) != ref.sha256:
                    raise FieldworkError(
                        f"{path} changed while it was stored. Run again when it is complete."
                    )
        return ref

    def put_bytes(self, data: bytes, suffix: str = "", *, rows: int | None = None) -> Ref:
        """Store bytes under a suffix such as `.json`."""
        if not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"Expected a suffix like .json or .tar.gz. Received {suffix!r}")
        ref = _ref(hashlib.sha256(data).hexdigest(), len(data), suffix, rows)
        with self._absent(ref) as temporary:
            if temporary is not None:
                temporary.write_bytes(data)
        return ref

    def put_json(self, value: Any) -> Ref:
        """Store a JSON value in canonical form: key order does not change the digest. NaN: ValueError."""
        return self.put_bytes(_canonical(value), ".json")

    def put_frame(self, frame: "pl.DataFrame") -> Ref:
        """Store a table as Parquet. The same frame gives the same digest, however it is chunked in memory."""
        # Written beside the blobs: a large frame would fill a small /tmp.
        with scratch_file(self._folder, ".parquet") as path:
            # Row groups and statistics are pinned: their defaults may depend on the release and the chunks.
            frame.rechunk().write_parquet(
                path, compression="zstd", compression_level=3, statistics=True, row_group_size=262_144
            )
            return self.put_file(path, rows=frame.height)

    def put_tree(self, folder: Path) -> Ref:
        """Store a folder, file by file: files that two trees share are stored once. Links are refused."""
        folder = Path(folder)
        if not folder.is_dir():
            raise RequestError(f"Expected a folder to store. Received {folder}, which is not one.")
        files: dict[str, Ref] = {}
        empty_folders: list[str] = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            _check_member(name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise RequestError(f"Expected plain files and folders. Received {path}, a link or a device.")
            if path.is_file():
                files[name] = self.put_file(path)
            elif not any(path.iterdir()):
                empty_folders.append(name)
        tree = _Tree(files=files, empty_folders=empty_folders)
        return self.put_bytes(_canonical(tree.model_dump()), ".tree.json")

    def restore_tree(self, ref: Ref, into: Path) -> Path:
        """Write a stored folder to `into`, whole or not at all; every file is verified. Returns `into`.

        `into` must be new or empty. A tree that names a path outside of it is refused.
        """
        try:
            tree = _Tree.model_validate_json(self.local_path(ref).read_bytes())
        except ValidationError as error:
            raise FieldworkError(
                f"Expected a stored folder. Received {ref.path}, which is other data."
            ) from error
        for name in [*tree.files, *tree.empty_folders]:
            _check_member(name)
        with atomic_folder(Path(into)) as temporary:
            for name in tree.empty_folders:
                (temporary / name).mkdir(parents=True, exist_ok=True)
            for name, member in tree.files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.local_path(member), target)
        return Path(into)

    def has(self, ref: Ref) -> bool:
        """Whether the store itself (not only the local cache) holds the blob with its full size."""
        if not self.remote:
            path = self._folder / ref.path
            return path.is_file() and path.stat().st_size == ref.bytes
        filesystem, root = self._filesystem()
        try:
            return int(filesystem.info(f"{root}/{ref.path}")["size"]) == ref.bytes
        except FileNotFoundError:
            return False

    def local_path(self, ref: Ref) -> Path:
        """A verified local file with the blob's content: read it, never change it.

        Raises FieldworkError that names the blob when it is missing or damaged.
        """
        path = self._folder / ref.path
        if _is_intact(path, ref):
            return path
        if not self.remote:
            raise FieldworkError(self._broken(ref, "damaged" if path.exists() else "missing"))
        self._fetch(ref, path)
        return path

    def frame(self, ref: Ref, columns: list[str] | None = None) -> "pl.DataFrame":
        """The stored table; `columns` reads only those."""
        import polars as pl

        return pl.read_parquet(self.local_path(ref), columns=columns, glob=False)

    def scan(self, ref: Ref) -> "pl.LazyFrame":
        """The stored table as a lazy query, for tables that do not fit in memory."""
        import polars as pl

        return pl.scan_parquet(self.local_path(ref), glob=False)

    def json(self, ref: Ref) -> Any:
        """The stored JSON value."""
        return json.loads(self.local_path(ref).read_bytes())

    @contextmanager
    def _absent(self, ref: Ref) -> Iterator[Path | None]:
        """Yield where to write the blob, or None when it is there: storing again heals a damaged one."""
        path = self._folder / ref.path
        if _is_intact(path, ref):
            yield None
        else:
            with atomic_path(path) as temporary:
                yield temporary
                temporary.chmod(0o444)
            _remember(path, ref)
        if self.remote and not self.has(ref):
            self._upload(path, ref)

    def _upload(self, path: Path, ref: Ref) -> None:
        # Object stores make a blob visible whole. Elsewhere a reader cannot meet half of it either: its
        # Ref is handed out only after this returns, and another writer sees a wrong size and writes it again.
        filesystem, root = self._filesystem()
        target = f"{root}/{ref.path}"
        try:
            filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            filesystem.put_file(str(path), target)
        except Exception as error:
            raise FieldworkError(f"Cannot write {ref.path} to the store {self.url}: {error}") from error

    def _fetch(self, ref: Ref, path: Path) -> None:
        filesystem, root = self._filesystem()
        with atomic_path(path) as temporary:
            try:
                filesystem.get_file(f"{root}/{ref.path}", str(temporary))
            except FileNotFoundError as error:
                raise FieldworkError(self._broken(ref, "missing")) from error
            except Exception as error:
                raise FieldworkError(f"Cannot read {ref.path} from the store {self.url}: {error}") from error
            if temporary.stat().st_size != ref.bytes or sha256_file(temporary) != ref.sha256:
                raise FieldworkError(self._broken(ref, "damaged"))
            temporary.chmod(0o444)
        _remember(path, ref)

    def _filesystem(self) -> tuple[Any, str]:
        import fsspec

        try:
            filesystem, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise RequestError(
                f"Cannot open the store {self.url}: {error}. Set FIELDWORK_STORE to a folder or another URL."
            ) from error
        return filesystem, root.rstrip("/")

    def _broken(self, ref: Ref, state: str) -> str:
        return (
            f"Stored data are {state}: {ref.path} ({ref.bytes:,} bytes) in {self.url}. "
            "Run the flow again with --no-cache to make them anew."
        )


def default_store() -> Store:
    """The store of the data home (see FIELDWORK_HOME and FIELDWORK_STORE)."""
    here = home()
    return Store(here.store_url, cache=here.cache)


def _ref(sha256: str, num_bytes: int, suffix: str, rows: int | None) -> Ref:
    return Ref(path=f"{sha256[:2]}/{sha256}{suffix}", sha256=sha256, bytes=num_bytes, rows=rows)


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _signature(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _is_intact(path: Path, ref: Ref) -> bool:
    try:
        signature = _signature(path)
    except FileNotFoundError:
        return False
    if signature[0] != ref.bytes:
        return False
    if _verified.get((str(path), ref.sha256)) != signature:
        if sha256_file(path) != ref.sha256:
            return False
        _verified[str(path), ref.sha256] = signature
    return True


def _remember(path: Path, ref: Ref) -> None:
    _verified[str(path), ref.sha256] = _signature(path)


def _check_member(name: str) -> None:
    """Refuse names that could leave the folder they are restored into, on any system."""
    path = PurePosixPath(name)
    unsafe = not path.parts or path.is_absolute() or ".." in path.parts
    if unsafe or re.search(r"[\\\x00]|^[A-Za-z]:", name):
        raise FieldworkError(f"Expected a path inside the folder. Received {name!r}, which is not safe.")
