"""Where masks and pictures lie that scoring writes: folders beside the table, one safe name for each case."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from pipelines.medical_segmentation.masks import write_mask
from pipelines.medical_segmentation.studies import Study
from shared.errors import RequestError

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_MOST_CHARACTERS = 80
# Digits of the digest of a case's name, as far as they are needed to tell files apart.
_DIGITS = (0, 8, 64)


@dataclass(frozen=True, slots=True)
class CaseFolder:
    """A folder of files of cases, such as `<output>.masks`. taken: names in it that this run gave, in lower case."""

    path: Path
    taken: set[str] = field(default_factory=set)

    @classmethod
    def beside(cls, output: Path, what: str = "masks") -> Self:
        """The folder that belongs to a table of results."""
        return cls(output.with_name(f"{output.stem}.{what}"))

    def require_apart(self, images: Iterable[Path]) -> None:
        """Raises RequestError where one of its files could be written over an image."""
        folder = self.path.resolve()
        inside = next((image for image in images if image.resolve().is_relative_to(folder)), None)
        if inside is not None:
            raise RequestError(
                f"Expected images outside of {self.path}, which is written to. Received {inside.name} in it: "
                "choose another OUTPUT."
            )

    def write_mask(self, mask: np.ndarray, study: Study) -> str:
        """The mask of a study as a file; its place, relative to the table."""
        name = self.name_of(study.case, ".png" if study.grid is None else ".nii.gz")
        write_mask(self.path / name, mask, study)
        return f"{self.path.name}/{name}"

    def name_of(self, case: str, suffix: str) -> str:
        """A file name that leads nowhere else, and that no other case of this run has on any file system."""
        plain = _UNSAFE.sub("_", case).lstrip(".")[:_MOST_CHARACTERS]
        digest = hashlib.sha256(case.encode()).hexdigest()
        names = [f"{plain}-{digest[:digits]}" if digits else plain for digits in _DIGITS]
        name = next(
            name
            for name in (names if plain == case else names[1:])
            if f"{name}{suffix}".lower() not in self.taken
        )
        self.taken.add(f"{name}{suffix}".lower())
        return f"{name}{suffix}"
