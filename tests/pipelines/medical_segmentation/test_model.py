"""Networks fit any image they are made for, learn from coarser levels, take local weights, and grade in order."""

import pytest
import torch
from safetensors.torch import save_file

from pipelines.medical_segmentation.model import (
    Grader,
    as_probabilities,
    grading_network,
    load_weights,
    picture_network,
    volume_network,
)
from shared.errors import RequestError

ENCODER = "test_resnet"


def pictures(**changes: object):
    options = {"encoder": ENCODER, "weights": None, "width": 4, "deep_supervision": False}
    return picture_network(3, 3, **(options | changes))


def volumes(**changes: object):
    options = {"patch": (16, 32, 32), "width": 2, "deep_supervision": False}
    return volume_network(1, 3, **(options | changes))


@pytest.mark.parametrize("patch", [(8, 16, 24), (16, 32, 32), (4, 40, 8)], ids=str)
def test_a_volume_network_fits_any_patch_of_even_edges(patch):
    network = volumes(patch=patch).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *patch)).shape == (1, 3, *patch)


@pytest.mark.parametrize(("made", "shape"), [(pictures, (2, 3, 64, 64)), (volumes, (2, 1, 16, 32, 32))])
def test_deep_supervision_gives_coarser_levels_in_training_alone_and_all_of_them_learn(made, shape):
    network, images = made(deep_supervision=True), torch.randn(shape)
    levels = network.train().all_levels(images)
    assert len(levels) > 1
    torch.stack([level.float().mean() for level in levels]).sum().backward()
    assert all(one.grad is not None for one in network.parameters())
    with torch.no_grad():
        assert len(network.eval().all_levels(images)) == 1
        assert network(images).shape == (2, 3, *shape[2:])


def test_an_unknown_encoder_is_refused_by_name():
    with pytest.raises(RequestError, match=r"Expected an encoder of timm.*Received 'resnet9000'"):
        pictures(encoder="resnet9000")
    with pytest.raises(RequestError, match=r"Expected an encoder of timm.*Received 'resnet9000'"):
        grading_network(3, 3, encoder="resnet9000", weights=None)


def test_weights_from_a_local_file_are_those_of_the_encoder(tmp_path):
    given = pictures().network.encoder
    save_file({name: one.clone() for name, one in given.state_dict().items()}, tmp_path / "own.safetensors")
    loaded = pictures(weights=str(tmp_path / "own.safetensors")).network.encoder
    assert all(torch.equal(one, loaded.state_dict()[name]) for name, one in given.state_dict().items())


def test_weights_for_another_number_of_channels_fit_but_for_the_first_layer(tmp_path):
    given = pictures().network.encoder
    save_file({name: one.clone() for name, one in given.state_dict().items()}, tmp_path / "own.safetensors")
    grey = picture_network(
        1, 2, encoder=ENCODER, weights=str(tmp_path / "own.safetensors"), width=4, deep_supervision=False
    ).network.encoder.state_dict()
    same = [name for name, one in given.state_dict().items() if torch.equal(one, grey[name])] if grey else []
    assert len(same) >= len(grey) - 1


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: save_file({"layer": torch.zeros(3)}, path), "Received 0 of .* tensors that fit"),
        (lambda path: path.write_bytes(b"\x80\x04no weights"), "Expected encoder weights as safetensors"),
        (lambda path: None, "Expected encoder weights as safetensors"),
    ],
    ids=["other network", "corrupt", "missing"],
)
def test_weights_that_cannot_be_used_are_refused(tmp_path, write, message):
    write(tmp_path / "own.safetensors")
    with pytest.raises(RequestError, match=message):
        load_weights(pictures().network.encoder, tmp_path / "own.safetensors")


def test_probabilities_of_grades_sum_to_one_and_rise_with_what_is_exceeded():
    log_odds = torch.randn(50, 4) * 3
    probabilities = Grader.probabilities(log_odds)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(50))
    assert (probabilities >= 0).all()
    mean = probabilities @ torch.arange(5.0)
    higher = Grader.probabilities(log_odds + 1) @ torch.arange(5.0)
    assert (higher > mean).all()
    ordered = log_odds.sort(dim=1, descending=True).values
    torch.testing.assert_close(
        Grader.probabilities(ordered) @ torch.arange(5.0), Grader.expected(ordered), rtol=1e-4, atol=1e-4
    )


def test_a_temperature_changes_how_sure_and_not_what():
    logits = torch.randn(2, 3, 5, 5)
    hot, cold = as_probabilities(logits, 3.0), as_probabilities(logits, 0.5)
    assert torch.equal(hot.argmax(1), cold.argmax(1))
    assert (hot.max(1).values < cold.max(1).values).all()
