"""Bundles that were published, each under its own digest: they never change and are never overwritten."""

import shutil
from pathlib import Path

from shared.data.files import atomic_folder, file_lock
from shared.data.home import Home, is_remote
from shared.data.store import Ref, Store
from shared.publishing.bundle import Bundle


class BundleStore:
    """Bundles by digest below the artifacts of a home: a local folder, or an fsspec URL with local copies."""

    def __init__(self, place: Home) -> None:
        self.remote = is_remote(place.artifacts_url)
        self._folder = (place.cache if self.remote else place.artifacts) / "bundles"
        self._store = Store(place.artifacts_url, place.cache) if self.remote else None

    def folder(self, pipeline: str, digest: str) -> Path:
        return self._folder / pipeline / digest[:32]

    def add(self, bundle: Bundle) -> tuple[str, str]:
        """Copy a bundle in, unless it is there. Returns its URL and, for a remote store, its reference."""
        kept = self._adopt(bundle)
        if self._store is None:
            return kept.folder.as_uri(), ""
        ref = self._store.put_tree(kept.folder)
        return f"{self._store.url}/{ref.path}", ref.model_dump_json(exclude_none=True)

    def get(self, pipeline: str, digest: str, reference: str = "") -> Bundle | None:
        """The verified bundle, fetched first from the remote store; None when it is nowhere."""
        folder = self.folder(pipeline, digest)
        if not folder.is_dir() and self._store is not None and reference:
            with file_lock(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    self._store.restore_tree(Ref.model_validate_json(reference), folder)
        return Bundle.open(folder, digest=digest) if folder.is_dir() else None

    def adopt_folder(self, folder: Path, digest: str) -> Bundle:
        """Take in a bundle that was fetched from elsewhere, after checking that it is the registered one."""
        return self._adopt(Bundle.open(folder, digest=digest))

    def _adopt(self, bundle: Bundle) -> Bundle:
        folder = self.folder(bundle.manifest.pipeline, bundle.digest)
        with file_lock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                with atomic_folder(folder) as draft:
                    shutil.copytree(bundle.folder, draft, dirs_exist_ok=True)
        return Bundle.open(folder, digest=bundle.digest)
