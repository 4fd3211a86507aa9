"""Checkpoints that survive a kill at any moment, a full disk, a damaged file, and a second process.

A checkpoint is `checkpoint-<number>.pt` (tensors and plain containers, loaded with weights_only) and, written
after it, `checkpoint-<number>.json` with its SHA-256 and the fingerprint of the run. Without a matching JSON
file it does not exist. The folder belongs to one run: what another run left there goes once this one has
saved something.
"""

import hashlib
import io
import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shared.data.files import atomic_path, atomic_write, file_lock, sha256_file
from shared.errors import FieldworkError

log = logging.getLogger(__name__)

_MANIFEST = re.compile(r"checkpoint-\d{8}\.json")
_OURS = re.compile(r"checkpoint-\d{8}\.(json|pt)|\.fieldwork-.*\.tmp.*")


class Checkpoints:
    """The checkpoints of one run. Use only inside `locked`."""

    def __init__(self, folder: Path, fingerprint: str, keep_last: int) -> None:
        self.folder, self.fingerprint, self.keep_last = folder, fingerprint, keep_last
        self.notes: list[str] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; a second process with the same one waits here until the first is done or dead."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = file_lock(self.folder / "lock", on_wait=lambda: self.note("waited for another run to end"))
        except OSError as error:
            raise FieldworkError(
                f"Expected a folder for checkpoints. Received {self.folder}: {error.strerror}. Choose one."
            ) from error
        with lock:
            yield

    def load(self) -> bytes | None:
        """The newest good checkpoint of this run as verified bytes, or None; `notes` has the skipped."""
        for path in reversed(self._manifests()):
            try:
                manifest = json.loads(path.read_text())
                if manifest["fingerprint"] != self.fingerprint:
                    self.note(f"{path} is of other settings, another network or other data: not continued")
                    continue
                payload = path.with_suffix(".pt").read_bytes()
                if hashlib.sha256(payload).hexdigest() == manifest["sha256"]:
                    return payload
                problem = "its checksum does not match"
            except (OSError, ValueError, KeyError, TypeError) as error:
                problem = f"{type(error).__name__}: {error}"
            self.note(f"{path} is damaged ({problem}): using the one before it, if any")
        return None

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint, then remove those beyond `keep_last`. FieldworkError when it fails."""
        manifests = self._manifests()
        number = int(manifests[-1].stem[-8:]) + 1 if manifests else 0
        path = self.folder / f"checkpoint-{number:08d}.pt"
        try:
            with atomic_path(path) as temporary:
                torch.save(state, temporary)
                manifest = {
                    "fingerprint": self.fingerprint,
                    "sha256": sha256_file(temporary),
                    "epoch": state["epoch"],
                    "step": state["step"],
                }
            atomic_write(path.with_suffix(".json"), json.dumps(manifest))
        except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
            free_mb = shutil.disk_usage(self.folder).free / 1e6
            raise FieldworkError(
                f"Cannot write {path} ({free_mb:,.0f} MB free): {str(error).splitlines()[0]}. "
                "Free some space or choose another folder."
            ) from error
        self._prune()

    def note(self, text: str) -> None:
        log.warning(text)
        self.notes.append(text)

    def _manifests(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _MANIFEST.fullmatch(path.name))

    def _prune(self) -> None:
        """Only after a new one is durable. Files of a killed save and of other runs go too."""
        own = [path for path in self._manifests() if self._is_own(path)]
        kept = {name for path in own[-self.keep_last :] for name in (path.name, path.with_suffix(".pt").name)}
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)

    def _is_own(self, manifest_path: Path) -> bool:
        try:
            return json.loads(manifest_path.read_text())["fingerprint"] == self.fingerprint
        except (OSError, ValueError, KeyError, TypeError):
            return False


def decode(payload: bytes) -> dict[str, Any]:
    """The state that `save` was given, on the CPU. Executes nothing that the file may contain."""
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # the checksum was right, so this is no accident
        raise FieldworkError(
            "Expected a checkpoint of tensors and plain values. Received one with something else in it. "
            "Remove the checkpoint folder to start anew."
        ) from error
