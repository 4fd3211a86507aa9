"""Where state lives: one folder per user, or wherever FIELDWORK_HOME says. Nothing is written elsewhere."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import RequestError


@dataclass(frozen=True, slots=True)
class Home:
    """The data home. `store_url` and `artifacts_url` are absolute local paths or fsspec URLs (`s3://...`)."""

    root: Path
    store_url: str
    artifacts_url: str

    @property
    def datasets(self) -> Path:
        """Public data sets that were fetched, one folder each."""
        return self.root / "datasets"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def artifacts(self) -> Path:
        """Local folder of the artifacts; where `artifacts_url` is remote, the folder they are staged in."""
        return self.root / "artifacts" if is_remote(self.artifacts_url) else Path(self.artifacts_url)

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def mlflow_db(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def cache(self) -> Path:
        """Copies of remote data: safe to delete at any time."""
        return self.root / "cache"


def home() -> Home:
    """The home of this moment: the environment is read at each call, nothing is created.

    FIELDWORK_HOME is a folder (default: the platform's folder for user data); FIELDWORK_STORE and
    FIELDWORK_ARTIFACTS move those two parts to another folder or to an fsspec URL that machines share.
    """
    root = _root(os.environ)
    return Home(
        root=root,
        store_url=_location(os.environ.get("FIELDWORK_STORE"), root / "store"),
        artifacts_url=_location(os.environ.get("FIELDWORK_ARTIFACTS"), root / "artifacts"),
    )


def is_remote(url: str) -> bool:
    """Whether a location is an fsspec URL rather than a local path."""
    return "://" in url


def _root(environment: Mapping[str, str]) -> Path:
    text = environment.get("FIELDWORK_HOME", "").strip()
    if not text:
        from platformdirs import user_data_path

        return user_data_path("fieldwork", appauthor=False)
    if is_remote(text):
        raise RequestError(
            f"Expected FIELDWORK_HOME to be a local folder. Received {text}: "
            "a URL goes into FIELDWORK_STORE or FIELDWORK_ARTIFACTS."
        )
    root = Path(text).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise RequestError(f"Expected FIELDWORK_HOME to be a folder. Received {root}, which is a file.")
    return root


def _location(text: str | None, default: Path) -> str:
    text = (text or "").strip()
    if not text:
        return str(default)
    text = text.removeprefix("file://")
    return text.rstrip("/") if is_remote(text) else str(Path(text).expanduser().absolute())
