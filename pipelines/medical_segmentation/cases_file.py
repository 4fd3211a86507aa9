"""Cases as a folder of two files, so that later steps need neither the images nor the readers."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.intensity import Fingerprint
from pipelines.medical_segmentation.labels import Labels
from shared.contracts.refused import Refused
from shared.errors import RequestError

_ARRAYS, _FACTS = "cases.safetensors", "cases.json"
_OF_CASES = ("images", "masks", "offsets", "spacing_mm", "has_mask", "num_pixels", "grades", "thumbnails")
_OF_FRAMES = ("own", "inner", "start", "grid")
_OF_FINGERPRINTS = tuple(field.name for field in fields(Fingerprint))
_TEXTS = ("names", "patients", "modalities", "parts", "notes")


def save_cases(cases: Cases, folder: Path) -> None:
    """Write cases into a folder that is there; the same cases give the same bytes."""
    arrays = {name: getattr(cases, name) for name in _OF_CASES}
    arrays |= {
        f"frames.{name}": np.array([getattr(one, name) for one in cases.frames]) for name in _OF_FRAMES
    }
    arrays |= {
        f"fingerprints.{name}": np.array([getattr(one, name) for one in cases.fingerprints])
        for name in _OF_FINGERPRINTS
    }
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _ARRAYS)
    facts = {name: getattr(cases, name) for name in (*_TEXTS, "num_channels")}
    facts |= {"labels": cases.labels.to_json(), "refused": [asdict(one) for one in cases.refused]}
    (folder / _FACTS).write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def load_cases(folder: Path) -> Cases:
    """What `save_cases` wrote. Raises RequestError for a folder that does not hold it whole."""
    try:
        arrays = load_file(folder / _ARRAYS)
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        frames = zip(*(arrays[f"frames.{name}"].tolist() for name in _OF_FRAMES), strict=True)
        fingerprints = zip(*(arrays[f"fingerprints.{name}"] for name in _OF_FINGERPRINTS), strict=True)
        loaded: dict[str, Any] = {name: arrays[name] for name in _OF_CASES}
        loaded |= {name: tuple(facts[name]) for name in _TEXTS}
        return Cases(
            **loaded,
            num_channels=facts["num_channels"],
            labels=Labels.from_json(facts["labels"]),
            frames=tuple(Frame(*map(tuple, each)) for each in frames),
            fingerprints=tuple(Fingerprint(*each) for each in fingerprints),
            refused=tuple(Refused(**one) for one in facts["refused"]),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"Expected stored cases in {folder}. Received: {error}. Ingest again.") from error
