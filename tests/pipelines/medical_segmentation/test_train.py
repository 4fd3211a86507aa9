"""Training learns from the cases it is given alone, repeats itself, and leaves frozen encoders as they are."""

import numpy as np
import pytest
import torch

from pipelines.medical_segmentation.inference import Predictor
from pipelines.medical_segmentation.train import Trainer, encoder_of, new_segmenter
from shared.errors import RequestError


def trained(config, cases, train, **changes):
    knobs = config.training.model_copy(update={"epochs": 1, "min_steps": 4} | changes)
    trainer = Trainer(config.model_copy(update={"training": knobs}), cases)
    network, results = trainer.segmenter(train, cases.fit_intensity(train, config.image), "n")
    return network, results


def test_training_twice_gives_the_same_weights(small, cases):
    first, _ = trained(small, cases, np.arange(12))
    second, _ = trained(small, cases, np.arange(12))
    assert all(
        torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_cases_that_are_not_trained_on_do_not_change_the_weights(small, cases):
    from dataclasses import replace

    changed = cases.pictures.copy()
    changed[12:] = 7
    first, _ = trained(small, cases, np.arange(12))
    second, _ = trained(small, replace(cases, images=changed.reshape(-1)), np.arange(12))
    assert all(
        torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_a_frozen_encoder_keeps_its_weights_in_the_first_stage_and_learns_in_the_second(
    small, cases, monkeypatch
):
    untouched = [one.clone() for one in encoder_of(first_network(small, cases)).parameters()]
    stages = []
    original = Trainer._stage

    def watched(self, network, *arguments):
        result = original(self, network, *arguments)
        stages.append([one.detach().clone() for one in encoder_of(network).parameters()])
        return result

    monkeypatch.setattr(Trainer, "_stage", watched)
    network, results = trained(small, cases, np.arange(12), frozen_epochs=1)
    assert len(results) == len(stages) == 2
    assert all(torch.equal(one, two) for one, two in zip(untouched, stages[0], strict=True))
    assert any(not torch.equal(one, two) for one, two in zip(stages[0], stages[1], strict=True))
    assert all(one.requires_grad for one in network.parameters())


def first_network(small, cases):
    """As training begins with."""
    from shared.training.seeded import seeded

    return seeded(small.seed, lambda: new_segmenter(small, 3, len(cases.labels) + 1, (64, 64)))


def test_volumes_have_no_encoder_to_freeze(small, volumes):
    with pytest.raises(RequestError, match="frozen_epochs with pictures"):
        trained(small, volumes, np.arange(4), frozen_epochs=1)


@pytest.mark.parametrize("loss", ["dice_ce", "focal_tversky"])
def test_each_loss_learns_with_deep_supervision(small, cases, loss):
    config = small.model_copy(update={"model": small.model.model_copy(update={"deep_supervision": True})})
    _, [result] = trained(config, cases, np.arange(16), loss=loss, min_steps=30, epochs=15)
    losses = [row["train_loss"] for row in result.history]
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])


def test_small_sets_get_the_steps_that_were_asked_for(small, cases):
    _, [result] = trained(small, cases, np.arange(9), min_steps=7)
    assert result.epochs == 7, "one batch of eight an epoch"


def test_a_picture_at_its_own_scale_is_crossed_by_windows(small, generated):
    from pipelines.medical_segmentation.gather import gather_cases

    own = small.model_copy(update={"image": small.image.model_copy(update={"scale": "own", "size": 32})})
    cases = gather_cases(generated.studies, generated.labels, own.image, len(generated.studies))
    network, _ = trained(own, cases, np.arange(12))
    intensity = cases.fit_intensity(np.arange(12), own.image)
    predictor = Predictor(network.eval(), (32, 32), own.inference)
    found = predictor.find(cases.image(0), cases.transfers(intensity)[0], cases.frames[0])
    assert found.mask.shape == (64, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"grades": -1}, "grade of every picture"), ({"grades": 0}, "grade of every picture")],
    ids=["unknown", "one grade"],
)
def test_a_grader_needs_grades(small, cases, change, message):
    from dataclasses import replace

    ungraded = replace(cases, grades=np.full(cases.num_cases, change["grades"]))
    everything = np.arange(cases.num_cases)
    with pytest.raises(RequestError, match=message):
        Trainer(small, ungraded).grader(everything, cases.fit_intensity(everything, small.image), "g")
