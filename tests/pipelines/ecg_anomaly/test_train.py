"""What is fitted comes from the training patients alone, and thresholds from networks that had not seen theirs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.train import Trainer, anomaly_parts
from shared.errors import RequestError


@pytest.fixture(scope="module")
def little(config):
    """Enough to see what depends on what."""
    training = config.training.model_copy(update={"min_steps": 3, "epochs": 1})
    return config.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def fitted(little, recordings, inputs):
    return Trainer(little, recordings, inputs).fit(np.arange(6), "fold")


def weights(fitted) -> torch.Tensor:
    return torch.cat([one.flatten().double() for one in fitted.detector.state_dict().values()])


def changed(recordings, signal=None, beat_class=None):
    beats = replace(recordings.beats, beat_class=beat_class) if beat_class is not None else recordings.beats
    return replace(recordings, beats=beats, signal=recordings.signal if signal is None else signal)


def test_the_same_seed_gives_the_same_detector(little, recordings, inputs, fitted):
    again = Trainer(little, recordings, inputs).fit(np.arange(6), "fold")
    assert torch.equal(weights(again), weights(fitted))
    assert again.thresholds.to_json() == fitted.thresholds.to_json()


def test_test_recordings_have_no_part_in_anything_that_is_fitted(little, recordings, fitted):
    signal = recordings.signal.copy()
    signal[recordings.offsets[6] :] = np.random.default_rng(0).normal(
        0, 5, len(signal) - recordings.offsets[6]
    )
    other = changed(recordings, signal)
    again = Trainer(little, other, BeatInputs.of(other, little.beats)).fit(np.arange(6), "fold")
    assert torch.equal(weights(again), weights(fitted))
    assert again.thresholds.to_json() == fitted.thresholds.to_json()


def test_abnormal_beats_are_not_learnt_from(little, recordings, inputs, fitted):
    beat_class = recordings.beats.beat_class.copy()
    other = np.where(beat_class == NORMAL, beat_class, (beat_class % 3 + 1).astype(np.int8))
    again = Trainer(little, changed(recordings, beat_class=other), inputs).detector(np.arange(6), "x")[0]
    expected = Trainer(little, recordings, inputs).detector(np.arange(6), "x")[0]
    for name, tensor in expected.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_thresholds_rest_on_every_training_patient_once_by_networks_that_had_not_seen_him(
    fitted, recordings, little
):
    tested = np.concatenate([fold.test for fold in fitted.calibration])
    assert sorted(tested) == list(range(6))
    for fold in fitted.calibration:
        patients = [{recordings.patients[record] for record in part} for part in (fold.train, fold.test)]
        assert not patients[0] & patients[1]
    normal = recordings.beats.beat_class[recordings.beats_of(np.arange(6))] == NORMAL
    assert fitted.thresholds.to_json()["num_beats"] == normal.sum()
    assert len(fitted.calibration) == little.protocol.calibration_folds


def test_the_record_of_training_says_what_it_cost(fitted):
    for name in ("network", "calibration"):
        assert {"device", "samples_per_second", "epochs", "seconds", "history"} <= fitted.record[name].keys()
    assert fitted.record["network"]["resumed_from_step"] is None


def test_fewer_steps_than_asked_for_are_made_up_by_more_epochs(config, recordings, inputs):
    _, result = Trainer(config, recordings, inputs).detector(np.arange(2), "few")
    assert result.to_json()["epochs"] > config.training.epochs


def test_too_few_patients_to_fix_a_threshold_are_refused(little, recordings, inputs):
    with pytest.raises(RequestError, match="at least 2 patients"):
        Trainer(little, recordings, inputs).fit(np.array([0]), "one")


def test_of_no_beats_there_are_no_parts(fitted, inputs):
    assert anomaly_parts(fitted.detector, inputs, np.zeros(0, dtype=np.int64)).shape == (0, 2)
