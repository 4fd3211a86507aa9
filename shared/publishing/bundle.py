"""A bundle: one folder with all that a model needs to score and to be defended, each file under its digest.

    manifest.json       what it is, where it came from, size and SHA-256 of every other file
    model.safetensors   weights            config.json    the whole configuration
    features/           fitted transforms  metrics.json   every metric with its interval
    model_card.md  report.html  figures/

It appears in one step and never changes: `write_bundle` fills a hidden folder beside it and renames that.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.data.files import atomic_folder, sha256_file
from shared.errors import FieldworkError, RequestError
from shared.publishing.bundle_files import MANIFEST, list_files, refuse_executable, safe_name
from shared.publishing.environment import environment
from shared.publishing.plain import json_digest, json_text, plain

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

FORMAT = 1
_MANIFEST_LIMIT_BYTES = 16 * 2**20
_Digest = Field(pattern=r"^[0-9a-f]{64}$")


class BundleFacts(BaseModel):
    """What the caller knows about the origin of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    source: str = Field(description="synthetic, the name of a public data set, or a path")
    preset: str
    contract: str = Field(description="id@version of the input contract")
    contract_digest: str = Field(description="digest of the contract as it was used, extensions included")
    input_digest: str = Field(description="SHA-256 of the input table or folder")
    code_digest: str = Field(description="SHA-256 of the code that made it, see orchestration.step")
    seed: int
    parents: tuple[str, ...] = Field(default=(), description="digests or run ids this one was made from")


class FileEntry(BaseModel):
    """One file of the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = _Digest
    bytes: int = Field(ge=0)


class Manifest(BundleFacts):
    """The content of manifest.json."""

    format: int
    created_at: datetime = Field(description="UTC")
    config_digest: str = _Digest
    environment: dict[str, str]
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. Reading methods open only files that the manifest lists."""

    folder: Path
    manifest: Manifest
    digest: str = field(metadata={"help": "SHA-256 of manifest.json: it fixes every byte of the bundle"})

    @classmethod
    def open(cls, folder: Path, *, digest: str | None = None) -> "Bundle":
        """Read and verify a bundle: every listed file present and unaltered, nothing else in the folder.

        `digest` is the one that the registry knows; with it a forged manifest is noticed too.
        Raises RequestError where there is no bundle, FieldworkError where it is damaged.
        """
        folder = Path(folder)
        manifest, actual = _read_manifest(folder)
        if digest is not None and digest != actual:
            raise _damaged(folder, "its manifest is not the one that was registered")
        bundle = cls(folder, manifest, actual)
        bundle._verify()
        return bundle

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.json("config.json"))

    @property
    def metrics(self) -> dict[str, Any]:
        return dict(self.json("metrics.json"))

    def path(self, name: str) -> Path:
        """Place of a listed file, such as `features/columns.json`."""
        if name not in self.manifest.files:
            raise FieldworkError(f"The bundle {self.folder} holds no {name}.")
        return self.folder / name

    def json(self, name: str) -> Any:
        return json.loads(self.text(name))

    def text(self, name: str) -> str:
        return self.path(name).read_text(encoding="utf-8")

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.manifest.files if name.startswith(prefix))

    def tensors(self, device: str = "cpu") -> "dict[str, Tensor]":
        """The weights by name, on `device`."""
        from safetensors.torch import load_file

        return load_file(self.path("model.safetensors"), device=device)

    def _verify(self) -> None:
        found = list_files(self.folder)
        found.pop(MANIFEST, None)
        listed = self.manifest.files
        for word, names in (("missing", listed.keys() - found), ("unknown", found.keys() - listed)):
            if names:
                raise _damaged(self.folder, f"{word}: {', '.join(sorted(names)[:5])}")
        for name, entry in listed.items():
            safe_name(name)
            if found[name] != entry.bytes or sha256_file(self.folder / name) != entry.sha256:
                raise _damaged(self.folder, f"altered: {name}")
            refuse_executable(self.folder / name, name)
        if json_digest(self.config) != self.manifest.config_digest:
            raise _damaged(self.folder, "config.json does not belong to this manifest")


def write_bundle(
    folder: Path,
    facts: BundleFacts,
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    tensors: "Mapping[str, Tensor | np.ndarray[Any, Any]] | None" = None,
    features: Callable[[Path], None] | None = None,
    model_card: str | None = None,
    report_html: str | None = None,
    figures: Mapping[str, bytes | str] | None = None,
    files: Mapping[str, bytes | str | Path] | None = None,
) -> Bundle:
    """Write a bundle in one step and return it verified; a failed or killed write leaves no half bundle.

    `tensors` are copied to the CPU, tied weights once per name. `features` receives an empty folder and fills
    it with JSON, Parquet or safetensors. `figures` are SVG texts by name without suffix. `files` are further
    files by relative path: their content, or a path to copy.
    Raises FieldworkError when the folder is already there (bundles never change) or a file is not plain data.
    """
    texts: dict[str, bytes | str | Path] = {}
    texts |= {"config.json": json_text(config), "metrics.json": json_text(metrics)}
    optional = {"model_card.md": model_card, "report.html": report_html}
    texts |= {name: text for name, text in optional.items() if text is not None}
    texts |= {f"figures/{name}.svg": svg for name, svg in (figures or {}).items()}
    if clash := (texts.keys() | {MANIFEST, "model.safetensors"}) & (files or {}).keys():
        raise FieldworkError(f"Expected new names in `files`. Received {', '.join(sorted(clash))}.")
    texts |= files or {}
    with atomic_folder(Path(folder)) as draft:
        for name, content in texts.items():
            _place(draft / safe_name(name), content)
        if tensors:
            _save_tensors(tensors, draft / "model.safetensors")
        if features is not None:
            (draft / "features").mkdir(exist_ok=True)
            features(draft / "features")
        manifest = _manifest(facts, draft, json_digest(config))
        (draft / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
    return Bundle.open(folder)


def _place(path: Path, content: bytes | str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _save_tensors(tensors: "Mapping[str, Tensor | np.ndarray[Any, Any]]", path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    plain_tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        # safetensors refuses tensors that share memory, and a view would drag its whole storage along.
        address, num_bytes = tensor.untyped_storage().data_ptr(), tensor.nelement() * tensor.element_size()
        if address in seen or tensor.untyped_storage().nbytes() != num_bytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        plain_tensors[name] = tensor
    save_file(plain_tensors, path)


def _manifest(facts: BundleFacts, draft: Path, config_digest: str) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for name, num_bytes in sorted(_checked_files(draft)):
        files[name] = {"sha256": sha256_file(draft / name), "bytes": num_bytes}
    return {
        "format": FORMAT,
        **plain(facts),
        "config_digest": config_digest,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "files": files,
    }


def _checked_files(draft: Path) -> Iterator[tuple[str, int]]:
    folded: dict[str, str] = {}
    for name, num_bytes in list_files(draft).items():
        refuse_executable(draft / safe_name(name), name)
        if (other := folded.setdefault(name.lower(), name)) != name:
            raise FieldworkError(f"{name} and {other} are one file on some machines. Rename one of them.")
        yield name, num_bytes


def _read_manifest(folder: Path) -> tuple[Manifest, str]:
    path = folder / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise RequestError(f"Expected a bundle (a folder with {MANIFEST}). Received {folder}.")
    if path.stat().st_size > _MANIFEST_LIMIT_BYTES:
        raise _damaged(folder, f"{MANIFEST} is larger than {_MANIFEST_LIMIT_BYTES // 2**20} MiB")
    content = path.read_bytes()
    try:
        fields = json.loads(content)
        if isinstance(fields, dict) and fields.get("format") != FORMAT:
            raise FieldworkError(
                f"The bundle {folder} has format {fields.get('format')}, this release reads {FORMAT}. "
                "Train again, or use the release that wrote it."
            )
        manifest = Manifest.model_validate(fields)
    except (ValueError, RecursionError) as error:
        what = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else "not JSON"
        raise _damaged(folder, f"{MANIFEST}: {what}") from error
    return manifest, hashlib.sha256(content).hexdigest()


def _damaged(folder: Path, what: str) -> FieldworkError:
    return FieldworkError(f"The bundle {folder} is damaged ({what}). Publish again or restore a backup.")
