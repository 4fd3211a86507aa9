"""What the network sees of a beat does not depend on the gain of the recorder, nor on its offset."""

from dataclasses import replace

import numpy as np
import torch

from pipelines.ecg_anomaly.inputs import DIFFERENCE, USUAL, BeatInputs, as_inputs


def test_a_beat_like_the_usual_one_has_no_difference():
    usual = torch.sin(torch.linspace(0, 6, 64)).expand(3, -1)
    seen = as_inputs(usual, usual, torch.full_like(usual, 0.1))
    assert torch.equal(seen[:, DIFFERENCE], torch.zeros(3, 64))
    torch.testing.assert_close(seen[:, USUAL].square().mean(1).sqrt(), torch.ones(3), rtol=0.05, atol=0)


def test_a_flat_usual_beat_does_not_blow_noise_up():
    nothing = torch.zeros(2, 64)
    seen = as_inputs(torch.full((2, 64), 0.01), nothing, nothing)
    assert seen.isfinite().all()
    assert seen[:, DIFFERENCE].abs().max() <= 0.5


def test_doubling_the_gain_of_a_recorder_hardly_changes_any_score(judged):
    louder = replace(judged.recordings, signal=2 * judged.recordings.signal)
    scores, same = (judged.scorer.scores(one) for one in (judged.recordings, louder))
    # the noise of a good recorder stays where it is: 0.02 mV count as usual whatever the gain
    assert np.corrcoef(scores, same)[0, 1] > 0.99
    assert np.median(np.abs(same - scores)) < 0.3
    assert np.median(scores) > 1


def test_difference_and_usual_beat_add_up_to_the_beat_in_one_size(inputs):
    chosen = torch.arange(20, 40)
    seen, beats = inputs.gather(chosen), inputs.windows.gather(chosen)
    added = seen[:, DIFFERENCE] + seen[:, USUAL]
    size_mv = (beats * added).sum(1, keepdim=True) / added.square().sum(1, keepdim=True)
    torch.testing.assert_close(added * size_mv, beats, rtol=0, atol=1e-5)


def test_inputs_of_some_recordings_do_not_depend_on_the_others(generated, config, inputs, recordings):
    alone = type(recordings).of(generated.records[3:4], config.signal, config.beats)
    own = BeatInputs.of(alone, config.beats)
    among = torch.from_numpy(recordings.beats_of(np.array([3])))
    assert torch.equal(own.gather(torch.arange(len(own))), inputs.gather(among))
    assert torch.equal(own.early, inputs.early[among])
