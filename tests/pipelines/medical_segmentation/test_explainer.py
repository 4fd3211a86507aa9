"""Grad-CAM of masks and grades: it finds where evidence is, and its checks tell a right map from a wrong one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipelines.medical_segmentation.config import tiny
from pipelines.medical_segmentation.explainer import UNIT, Explainer, MaskedLogOdds, Window
from pipelines.medical_segmentation.train import new_grader, new_segmenter

SIZE = 24


class Bright(nn.Module):
    """Log-odds of the structure are the brightness around each pixel: known evidence."""

    def __init__(self) -> None:
        super().__init__()
        self.spots = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        with torch.no_grad():
            self.spots.weight.fill_(1 / 9)

    def forward(self, images: Tensor) -> Tensor:
        found = self.spots(images)
        return torch.cat([torch.zeros_like(found), 3 * found], 1)


@pytest.fixture
def explainer() -> Explainer:
    return Explainer(MaskedLogOdds(Bright(), 1), "network.spots", 1, "log-odds", UNIT)


@pytest.fixture
def seen() -> Tensor:
    """Eight pictures with a bright square in another place each, asked about with weights everywhere."""
    pictures = torch.zeros(8, 2, SIZE, SIZE)
    for number in range(8):
        row, column = 6 * (number // 3), 6 * (number % 3)
        pictures[number, 0, row : row + 6, column : column + 6] = 2.0
    pictures[:, 1] = 1 / SIZE**2
    return pictures


def test_map_is_strong_where_the_evidence_is(explainer, seen):
    maps = explainer.activation(seen).map
    assert maps.shape == (8, SIZE, SIZE)
    bright = (seen[:, 0] > 0).numpy()
    assert (maps * bright).sum() > 0.7 * maps.sum()
    assert (maps.reshape(8, -1).argmax(1) == (maps * bright).reshape(8, -1).argmax(1)).all()


def test_right_map_passes_the_check_and_its_opposite_does_not(explainer, seen):
    maps = explainer.activation(seen).map
    assert explainer.checked(seen, maps, seed=0).faithful
    wrong = explainer.checked(seen, maps.max() - maps, seed=0)
    assert not wrong.faithful
    assert "no better than a random order" in wrong.warning


def test_networks_of_random_weights_get_other_maps(explainer, seen):
    assert -1 <= explainer.likeness_to_random(seen, seed=0) <= 1


def test_log_odds_are_those_of_the_probabilities_in_the_mask():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return logits

    weights = torch.zeros(2, 2, 4, 4)
    weights[0, 0, 1, 2] = 1.0
    weights[1, 1, 0, :2] = 0.5
    found = MaskedLogOdds(Fixed(), 3)(torch.cat([torch.zeros(2, 3, 4, 4), weights], 1))
    chance = logits.softmax(1)
    expected = [chance[0, 1, 1, 2].logit(), chance[1, 2, 0, :2].logit().mean()]
    torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize(
    ("size", "num_channels"), [((64, 64), 3), ((16, 32, 24), 1)], ids=["picture", "volume"]
)
def test_every_kind_of_network_has_a_map_of_the_size_of_what_it_sees(size, num_channels):
    network = new_segmenter(tiny(), num_channels, 3, size).eval()
    explainer = Explainer.of_masks(network, num_channels)
    seen = torch.randn(2, num_channels + 2, *size, generator=torch.Generator().manual_seed(0))
    found = explainer.activation(seen)
    assert found.map.shape == (2, *size)
    assert explainer.by_cell(found.map).values.sum() == pytest.approx(float(found.map.sum()), rel=1e-4)


@pytest.mark.parametrize(("edge", "reduction"), [(64, 8), (128, 16), (512, 32)])
def test_map_of_a_grade_is_of_the_deepest_level_that_can_be_drawn(edge, reduction):
    config = tiny().model_copy(update={"model": tiny().model.model_copy(update={"encoder": "resnet18"})})
    explainer = Explainer.of_grades(new_grader(config, 3, 4), 3, (edge, edge))
    levels = {level["module"]: level["reduction"] for level in explainer.scored.network.network.feature_info}
    assert levels[explainer.layer.rpartition(".")[2]] == reduction


@given(
    edges=st.lists(st.integers(2, 24), min_size=2, max_size=3),
    window=st.lists(st.integers(2, 16), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_what_a_window_cuts_goes_back_to_its_place(edges, window, seed):
    random = np.random.default_rng(seed)
    mask = np.zeros(edges, dtype=bool)
    mask[tuple(random.integers(0, edge) for edge in edges)] = True
    found = Window.around(mask, tuple(window[: len(edges)]))
    values = random.normal(size=edges).astype(np.float32)
    cut = found.cut(torch.from_numpy(values)[None], -7.0)
    assert tuple(cut.shape[1:]) == found.size
    back = found.put_back(cut[0].numpy(), tuple(edges))
    assert np.array_equal(back[found.inside], values[found.inside])
    assert mask[found.inside].any()
    outside = np.ones(edges, dtype=bool)
    outside[found.inside] = False
    assert not back[outside].any()
