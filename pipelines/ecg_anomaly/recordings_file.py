"""Recordings as a folder of two files, so that later steps need neither the raw files nor the signal path."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipelines.ecg_anomaly.beats import Intervals
from pipelines.ecg_anomaly.recordings import Beats, Recordings
from shared.contracts.refused import Refused
from shared.errors import RequestError

_ARRAYS, _FACTS = "recordings.safetensors", "recordings.json"
_OF_RECORDINGS = ("signal", "offsets", "lengths")
_OF_BEATS = ("record", "r_sample", "beat_class", "quality")
_OF_INTERVALS = ("before", "after", "local", "spread")
_TEXTS = ("names", "patients", "leads", "parts", "notes")


def save_recordings(recordings: Recordings, folder: Path) -> None:
    """Write recordings into a folder that is there."""
    beats = recordings.beats
    arrays = {name: getattr(recordings, name) for name in _OF_RECORDINGS}
    arrays |= {f"beats.{name}": getattr(beats, name) for name in _OF_BEATS}
    arrays |= {f"intervals.{name}": getattr(beats.intervals, name) for name in _OF_INTERVALS}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _ARRAYS)
    facts = {name: getattr(recordings, name) for name in (*_TEXTS, "rate_hz")}
    facts["refused"] = [[one.name, one.reason] for one in recordings.refused]
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def load_recordings(folder: Path) -> Recordings:
    """What `save_recordings` wrote. Raises RequestError for a folder that does not hold it whole."""
    try:
        arrays = load_file(folder / _ARRAYS)
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        beats = Beats(
            **{name: arrays[f"beats.{name}"] for name in _OF_BEATS},
            intervals=Intervals(*(arrays[f"intervals.{name}"] for name in _OF_INTERVALS)),
        )
        fields: dict[str, Any] = {name: arrays[name] for name in _OF_RECORDINGS}
        fields |= {name: tuple(facts[name]) for name in _TEXTS}
        refused = tuple(Refused(*one) for one in facts["refused"])
        return Recordings(**fields, rate_hz=facts["rate_hz"], beats=beats, refused=refused)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"Expected stored recordings in {folder}. Received: {error}. Ingest again."
        ) from error
