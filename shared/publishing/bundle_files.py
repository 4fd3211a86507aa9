"""Which files a bundle may hold: safe names, and only formats that cannot execute code when they are read."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import FieldworkError, RequestError

MANIFEST = "manifest.json"
ALLOWED_SUFFIXES = frozenset(
    [
        ".json",
        ".jsonl",
        ".safetensors",
        ".parquet",
        ".onnx",
        ".csv",
        ".yaml",
        ".txt",
        ".md",
        ".html",
        ".svg",
        ".png",
    ]
)
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@=+ -]{0,120}")
# A pickle of protocol 2 and later starts with PROTO and its number; torch.save and joblib wrap it in an
# archive, and npy files may hold one behind their header.
_PICKLE_HEAD = re.compile(rb"\x80[\x02-\x09]")
_ARCHIVE_HEADS = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


Config = TypeVar("Config", bound=BaseModel)


def read_config(folder: Path, kind: type[Config]) -> Config:
    """The `config.json` of a model's folder. Raises RequestError for one that this release does not understand."""
    try:
        return kind.model_validate_json((folder / "config.json").read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"The model was trained by a release with other settings ({place}: {first['msg']}). Train it again."
        ) from error


def safe_name(name: str) -> str:
    """Check a path inside a bundle: relative, plain characters, an allowed suffix. Returns it unchanged."""
    path = PurePosixPath(name)
    plain_parts = all(_SAFE_PART.fullmatch(part) and not part.endswith((".", " ")) for part in path.parts)
    if not path.parts or not plain_parts or str(path) != name:
        raise FieldworkError(f"Expected a plain relative path inside the bundle. Received {name!r}.")
    if path.suffix.lower() not in ALLOWED_SUFFIXES:
        allowed = " ".join(sorted(ALLOWED_SUFFIXES))
        raise FieldworkError(f"A bundle cannot hold {name}. Expected one of {allowed}.")
    return name


def refuse_executable(path: Path, name: str) -> None:
    """Refuse a pickle or an archive that hides behind an allowed suffix; reads only the head of the file."""
    with open(path, "rb") as file:
        head = file.read(9)
    # safetensors starts with the length of its JSON header: 640 bytes would look like the head of a pickle.
    if path.suffix == ".safetensors" and head[8:] == b"{":
        return
    if _PICKLE_HEAD.match(head) or head.startswith(_ARCHIVE_HEADS):
        raise FieldworkError(f"{name} holds a pickle or an archive, which can run code. Store plain data.")


def list_files(folder: Path) -> dict[str, int]:
    """Relative path and size in bytes of every file below a folder; links and devices are refused."""
    found: dict[str, int] = {}
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                name = Path(entry.path).relative_to(folder).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise FieldworkError(f"Expected plain files in {folder}. {name} is a link or a device.")
    return found
