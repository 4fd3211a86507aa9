"""What a run depended on besides its data and code: the versions of the stack."""

import platform
from importlib import metadata

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
