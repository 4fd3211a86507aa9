"""Explanations: they add up, find where a beat was changed, and put the rhythm where it belongs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ecg_anomaly.config import ModelConfig
from pipelines.ecg_anomaly.explainer import RHYTHM, SEGMENT, Explainer, heat
from pipelines.ecg_anomaly.inputs import DIFFERENCE
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.model import Detector
from pipelines.ecg_anomaly.train import new_autoencoder
from shared.training.seeded import seeded


@pytest.fixture(scope="module")
def explainer(judged) -> Explainer:
    return Explainer(judged.scorer.detector, 90, 360, 64)


@pytest.fixture(scope="module")
def cases(judged) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of them flagged, half not."""
    both = [judged.table.filter(flagged=flagged)["beat"][:20].to_list() for flagged in (True, False)]
    beats = torch.tensor([*both[0], *both[1]])
    return judged.inputs.gather(beats), judged.inputs.early[beats]


def other_explainer(kind: str) -> Explainer:
    network = seeded(0, lambda: new_autoencoder(256, ModelConfig(kind=kind, channels=4)))
    detector = Detector(network).eval()
    detector.shape.fit(torch.linspace(-3, 3, 500))
    detector.rhythm.fit(torch.linspace(-2, 2, 500))
    return Explainer(detector, 90, 360, 16)


def test_samples_and_rhythm_sum_to_the_distance_from_the_usual_beat(explainer, cases):
    seen, early = cases
    found = explainer.explain(seen, early)
    usual = seen.clone()
    usual[:, DIFFERENCE] = 0
    with torch.inference_mode():
        moved = explainer.score(seen, early) - explainer.score(usual, torch.zeros(len(seen)))
    assert found.values.shape == (len(seen), 257)
    np.testing.assert_allclose(found.output - found.base_value, moved.numpy(), atol=1e-4)
    assert np.abs(found.gaps).mean() < 0.05 * np.abs(moved.numpy()).mean()


def test_a_usual_beat_on_time_has_nothing_to_explain(explainer, cases):
    seen = cases[0].clone()
    seen[:, DIFFERENCE] = 0
    found = explainer.explain(seen, torch.zeros(len(seen)))
    np.testing.assert_allclose(found.values, 0, atol=1e-6)


def test_only_the_rhythm_changes_when_only_the_time_does(explainer, cases):
    seen, early = cases
    on_time, late = (explainer.explain(seen, moved).values for moved in (early * 0, early * 0 + 3))
    np.testing.assert_allclose(on_time[:, :-1], late[:, :-1])
    assert (late[:, -1] > on_time[:, -1] + 1).all()


def test_segments_keep_the_sum_and_name_their_time(explainer, cases):
    by_sample = explainer.explain(*cases)
    found = explainer.in_segments(by_sample)
    assert found.values.shape[1] == 256 // SEGMENT + 1
    assert found.names[0] == "-250 to -206 ms"
    assert found.names[-1] == RHYTHM
    np.testing.assert_allclose(found.values.sum(1), by_sample.values.sum(1), rtol=1e-5, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 14), st.floats(3.0, 6.0))
def test_heat_is_where_a_beat_was_changed(judged, place, size):
    """One eighth of a beat is moved by several sizes of the beat: it has more than twice its share of the heat."""
    normal = judged.table.filter(beat_class="N").sort("score")["beat"][:8].to_list()
    seen = judged.inputs.gather(torch.tensor(normal))
    changed = slice(place * 16, place * 16 + 32)
    seen[:, DIFFERENCE] = 0
    seen[:, DIFFERENCE, changed] = size
    found = heat(judged.scorer.detector, seen)
    assert (found[:, changed].sum(1) > 0.25).all()


def test_heat_is_shares_of_the_beat(explainer, cases):
    found = heat(explainer.detector, cases[0])
    assert found.dtype == np.float64
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1)


def test_heat_of_a_usual_beat_is_everywhere_alike_and_none_is_none(explainer, cases):
    seen = cases[0][:3].clone()
    seen[:, DIFFERENCE] = 0
    np.testing.assert_allclose(heat(explainer.detector, seen), 1 / 256)
    assert heat(explainer.detector, seen[:0]).shape == (0, 256)


def test_heat_of_a_beat_does_not_depend_on_the_others(explainer, cases):
    whole = heat(explainer.detector, cases[0])
    np.testing.assert_allclose(whole[3:4], heat(explainer.detector, cases[0][3:4]), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["convolutional", "variational", "lstm"])
def test_every_kind_of_autoencoder_has_all_explanations(kind, cases):
    explainer = other_explainer(kind)
    seen, early = (part[:5] for part in cases)
    found = explainer.evidence(seen)
    assert found.shape == (5, 256)
    assert (found >= 0).all()
    assert found.any()
    assert np.isfinite(explainer.explain(seen, early).values).all()
    np.testing.assert_allclose(heat(explainer.detector, seen).sum(1), 1)


def test_gradients_and_heat_are_better_than_a_random_order(explainer, cases):
    seen, early = cases
    checked = explainer.checked(explainer.explain(seen, early), seen, early, seed=0)
    assert checked.faithful, checked.warning
    alone = explainer.alone("heat", heat(explainer.detector, seen))
    assert explainer.faithfulness(alone, seen, early, seed=0).passed


def test_an_explanation_of_other_beats_fails_its_check(explainer, cases):
    seen, early = cases
    true = explainer.in_segments(explainer.explain(seen, early))
    wrong = replace(true, values=np.random.default_rng(0).permuted(true.values, axis=1))
    assert not explainer.faithfulness(wrong, seen, early, seed=0).passed


def test_the_detector_is_left_as_it_was(explainer, cases):
    before = {name: tensor.clone() for name, tensor in explainer.detector.state_dict().items()}
    explainer.likeness_to_random(*cases, seed=0)
    explainer.evidence(cases[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in explainer.detector.state_dict().items())
    assert not explainer.detector.training


def test_normal_beats_are_most_of_what_is_judged(judged):
    """The cases above mean something only when both kinds are there."""
    kinds = judged.recordings.beats.beat_class[judged.table["beat"].to_numpy()]
    assert (kinds == NORMAL).mean() > 0.7
    assert judged.table["flagged"].sum() >= 20
