"""What a run depended on besides its data: versions of the stack and a digest of the code."""

import hashlib
import platform
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from shared.errors import FieldworkError

_PACKAGES = [
    "fieldwork",
    "torch",
    "numpy",
    "polars",
    "pandera",
    "safetensors",
    "scikit-learn",
    "scipy",
    "mlflow",
]


def environment() -> dict[str, str]:
    """Python, platform and package versions. Reads package metadata only, imports nothing."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def code_digest(packages: Sequence[str]) -> str:
    """SHA-256 over the Python sources of packages such as `shared.training`: changes when any line changes.

    Order of the names does not matter; compiled files, and tests that lie elsewhere, do not count.
    """
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        for name, path in _sources(package):
            content = path.read_bytes()
            digest.update(f"{package}/{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(package: str) -> list[tuple[str, Path]]:
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise FieldworkError(f"Expected an importable package for the code digest. Received {package!r}.")
    if spec.submodule_search_locations is None:
        return [("", Path(spec.origin or ""))]
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    return sorted(
        (path.relative_to(root).as_posix(), path) for root in folders for path in root.rglob("*.py")
    )
