"""The classifier behind the results in the form of EC57."""

import numpy as np
import pytest
import torch

from pipelines.ecg_anomaly.classify import Classifier, classify, embeddings
from pipelines.ecg_anomaly.labels import CLASSES


def test_embeddings_are_finite_whatever_the_beat(judged):
    beats = np.arange(len(judged.recordings.beats))
    found = embeddings(judged.fitted.detector, judged.recordings, judged.inputs, beats)
    assert found.shape[0] == len(beats)
    assert found.isfinite().all()


def test_a_beat_of_noise_cannot_leave_the_scale():
    network = Classifier(torch.zeros(3), torch.ones(3)).eval()
    far = torch.tensor([[10.0, 0.0, -10.0], [1e6, 0.0, -1e6]])
    with torch.inference_mode():
        found = network(far)
    assert torch.equal(found[0], found[1])


def test_rare_classes_count_more_than_their_share(judged, trainer, recordings, monkeypatch):
    """The weights that the loss is given: the mean beat counts one, rarer classes more by the root of their number."""
    seen = []
    original = torch.nn.functional.cross_entropy

    def noted(*args, weight, **options):
        seen.append(weight)
        return original(*args, weight=weight, **options)

    monkeypatch.setattr("pipelines.ecg_anomaly.classify.functional.cross_entropy", noted)
    train = np.arange(6)
    classify(trainer, judged.fitted.detector, train, recordings.beats_of(np.array([6])), "head")
    codes = recordings.beats.beat_class[recordings.beats_of(train)]
    counts = np.bincount(codes[(codes >= 0) & (codes < 4)], minlength=4)
    weight = seen[0].numpy()
    assert (weight[counts < counts[0]] > weight[0]).all()
    assert (weight[:4] * counts).sum() / counts.sum() == pytest.approx(1, abs=1e-5)
    assert weight[2] / weight[0] == pytest.approx(np.sqrt(counts[0] / counts[2]), rel=1e-5)


def test_most_beats_of_unseen_patients_are_called_what_they_are(judged):
    known = judged.table.filter(judged.table["beat_class"].is_in(CLASSES[:4]))
    assert (known["beat_class"] == known["predicted_class"]).mean() > 0.8
    ventricular = known.filter(beat_class="V")
    assert (ventricular["predicted_class"] == "V").mean() > 0.5
