"""The only scoring code: evaluation, batch flow, stream, API and dashboard all call `Scorer`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.ecg_anomaly.beats import samples_before
from pipelines.ecg_anomaly.config import BeatConfig, EcgConfig
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.model import Detector
from pipelines.ecg_anomaly.predictions import SCORE, judged_beats
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import CONTRACT
from pipelines.ecg_anomaly.threshold import Thresholds
from pipelines.ecg_anomaly.train import Fitted, new_autoencoder
from shared.contracts.contract import load
from shared.errors import RequestError
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from pipelines.ecg_anomaly.stream import Stream
    from shared.publishing.bundle import Bundle

PIPELINE = "ecg_anomaly"
_DETECTOR, _THRESHOLDS = "detector.", "thresholds."
_BEATS_AT_ONCE = 1024
# Shares of a beat's surprise; four digits are one ten-thousandth of it.
_HEAT_DIGITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A fitted detector with its thresholds, and the configuration that says what a beat is."""

    config: EcgConfig
    detector: Detector
    thresholds: Thresholds
    version: str = "not registered"

    @classmethod
    def of(cls, fitted: Fitted, config: EcgConfig) -> "Scorer":
        """The scorer of what a trainer fitted."""
        return cls(config, fitted.detector, fitted.thresholds)

    @property
    def beats(self) -> BeatConfig:
        """What a beat is in scoring: R peaks are always found by the detector."""
        return self.config.beats.model_copy(update={"peaks": "detected"})

    def tensors(self) -> dict[str, Tensor]:
        """Weights and tails of the detector, and the scores that the thresholds rest on."""
        found = {_DETECTOR + name: tensor for name, tensor in self.detector.state_dict().items()}
        arrays = self.thresholds.arrays()
        found |= {_THRESHOLDS + name: torch.from_numpy(array) for name, array in arrays.items()}
        return {name: tensor.contiguous() for name, tensor in found.items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1), encoding="utf-8")
        save_file(self.tensors(), folder / "model.safetensors")
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes the rule behind the thresholds, for people; scoring reads them from the tensors."""
        (folder / "thresholds.json").write_text(
            json.dumps(self.thresholds.to_json(), indent=1), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """Reads what `save` wrote; the folder of a verified bundle has the same files.

        Raises RequestError for a folder that does not hold it whole.
        """
        config = read_config(folder, EcgConfig)
        with torch.random.fork_rng(devices=[]):
            detector = Detector(new_autoencoder(config.beats.num_samples, config.model))
        try:
            tensors = load_file(folder / "model.safetensors")
            detector.load_state_dict(_part(tensors, _DETECTOR))
            arrays = {name: tensor.numpy() for name, tensor in _part(tensors, _THRESHOLDS).items()}
            thresholds = Thresholds.of_arrays(arrays, config.threshold)
        except (OSError, SafetensorError, RuntimeError, KeyError, IndexError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RequestError(
                f"Expected the weights and thresholds of an ECG model in {folder.name}. Received: {reason} "
                "Train it again."
            ) from error
        return cls(config, detector.eval(), thresholds, version)

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def scores(self, recordings: Recordings, inputs: BeatInputs | None = None) -> np.ndarray:
        """Anomaly score of every beat, float64 of shape (beats,), higher is more abnormal."""
        found: np.ndarray = self.score_recordings(recordings, inputs)[SCORE].to_numpy()
        return found

    def score_recordings(self, recordings: Recordings, inputs: BeatInputs | None = None) -> pl.DataFrame:
        """One row for each beat of all recordings, see `predictions.judged_beats`."""
        inputs = BeatInputs.of(recordings, self.config.beats) if inputs is None else inputs
        return judged_beats(
            self.detector, self.thresholds, recordings, inputs, np.arange(len(recordings.beats))
        )

    def alerts(
        self, recordings: Recordings, table: pl.DataFrame, rates_hz: Mapping[str, float], *, explain: bool
    ) -> pl.DataFrame:
        """What `score_recordings` gave in the shape of `ecg_alerts`. rates_hz: own sampling rate of each recording.

        With `explain`, flagged beats get their heat.
        """
        own_rate = np.array([rates_hz[name] for name in recordings.names])
        record = recordings.beats.record
        at_own_rate = np.round(recordings.beats.r_sample * own_rate[record] / recordings.rate_hz)
        is_conformal = self.thresholds.config.rule == "conformal"
        return table.select(
            "record",
            pl.int_range(1, pl.len() + 1).over("record").alias("beat"),
            "patient",
            pl.Series("lead", [recordings.leads[one] for one in record], dtype=pl.String),
            "beat_time",
            pl.Series("r_sample", at_own_rate.astype(np.int64)),
            SCORE,
            "threshold",
            "flagged",
            pl.col("p_value") if is_conformal else pl.lit(None, dtype=pl.Float64).alias("p_value"),
            self._heat(recordings, table["flagged"].to_numpy())
            if explain
            else pl.lit(None, pl.String).alias("heat"),
            pl.col("signal_quality").cast(pl.Float64),
            "beat_class",
            model_version=pl.lit(self.version),
            contract=pl.lit(load(CONTRACT).id_version),
            scored_at=pl.lit(datetime.now(UTC)),
        )

    def stream(self, rate_hz: float, *, record: str = "stream") -> "Stream":
        """Scores samples as they come, mV at this rate; see `stream.Stream`."""
        from pipelines.ecg_anomaly.stream import Stream

        return Stream(self, rate_hz, record)

    def _heat(self, recordings: Recordings, is_shown: np.ndarray) -> pl.Series:
        """Where each of some beats is abnormal, as JSON; null for the others."""
        from pipelines.ecg_anomaly.explainer import heat

        rate, inputs = self.config.signal.rate_hz, BeatInputs.of(recordings, self.config.beats)
        facts = {"from": -samples_before(self.config.beats, rate), "rate": rate}
        texts: list[str | None] = [None] * len(is_shown)
        shown = torch.from_numpy(np.flatnonzero(is_shown))
        for part in shown.split(_BEATS_AT_ONCE) if len(shown) else ():
            shares = heat(self.detector, inputs.gather(part)).round(_HEAT_DIGITS)
            for place, values in zip(part.tolist(), shares, strict=True):
                texts[place] = json.dumps(facts | {"values": values.tolist()})
        return pl.Series("heat", texts, dtype=pl.String)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
