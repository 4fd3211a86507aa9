"""Grad-CAM in one, two and three dimensions: equal to captum, and pictures that do not lie."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.grad_cam import grad_cam, masked_score

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
SIZES = {1: (23,), 2: (11, 9), 3: (7, 6, 5)}


class Convolutional(nn.Module):
    """Two convolutions with an in-place activation, mean pooling and a head."""

    def __init__(self, axes: int, outputs: int = 1) -> None:
        super().__init__()
        convolution, norm = CONVOLUTIONS[axes], NORMS[axes]
        self.body = nn.Sequential(
            convolution(2, 4, 3, padding=1), norm(4), nn.ReLU(inplace=True), convolution(4, 5, 3, stride=2)
        )
        self.activation = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.activation(self.body(x)).flatten(2).mean(2))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_grad_cam_agrees_with_captum(axes: int) -> None:
    from captum.attr import LayerGradCam

    torch.manual_seed(axes)
    model, inputs = Convolutional(axes).eval(), torch.randn(5, 2, *SIZES[axes])
    for layer in (model.body[1], model.body):
        # captum explains a layer in front of an in-place activation wrongly, so that its copy has none.
        reference = Convolutional(axes).eval()
        reference.load_state_dict(model.state_dict())
        reference.body[2] = reference.activation = nn.ReLU()
        reference_layer = reference.body if layer is model.body else reference.body[1]
        expected = LayerGradCam(reference, reference_layer).attribute(inputs)[:, 0].detach().numpy()
        found = grad_cam(model, inputs, layer, num_points=2)
        np.testing.assert_allclose(found.raw, expected, atol=1e-5)
        assert found.map.shape == (5, *SIZES[axes])


def test_display_map_keeps_zero_at_zero_and_one_scale_for_all_rows() -> None:
    torch.manual_seed(3)
    model = Convolutional(2)
    strong = grad_cam(model, torch.randn(4, 2, 11, 9), model.body[0])
    weak = grad_cam(model, torch.randn(4, 2, 11, 9) * 1e-3, model.body[0])
    assert strong.scale == pytest.approx(strong.map.max())
    assert strong.display().max() == pytest.approx(1.0)
    np.testing.assert_allclose(strong.display() * strong.scale, strong.map, rtol=1e-5)
    assert weak.display(strong.scale).max() <= max(1.0, weak.map.max() / strong.scale)
    json.dumps(strong.to_json())
    assert strong.layer == "body.0"


def test_a_map_without_positive_evidence_is_empty_and_says_so() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    found = grad_cam(model, torch.ones(2, 1, 6), model[0], score=lambda x: -model(x).sum((1, 2)))
    assert not found.display().any()
    assert found.scale == 0
    np.testing.assert_allclose(found.negative_share, 1.0)


def test_segmentation_is_explained_through_masked_logits() -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1))
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    found = grad_cam(model, torch.randn(2, 1, 8, 8), model[0], score=masked_score(model, 1, mask))
    assert found.raw.shape == (2, 8, 8)
    assert found.output.shape == (2,)


def test_grad_cam_leaves_the_model_as_it_was_also_after_an_error() -> None:
    model = Convolutional(1).train()
    with pytest.raises(RequestError, match="one number per row"):
        grad_cam(Convolutional(1, outputs=3), torch.randn(2, 2, 23), model.body[0])
    with pytest.raises(RequestError, match="axes"):
        grad_cam(model, torch.randn(2, 2, 23), model.head)
    with pytest.raises(RequestError, match="did not"):
        grad_cam(model, torch.randn(2, 2, 23), nn.Conv1d(2, 2, 1))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_layer_that_does_not_reach_the_score_gives_an_empty_map() -> None:
    model = Convolutional(1)
    found = grad_cam(model, torch.randn(2, 2, 23), model.body[0], score=lambda x: (model(x) * 0 + 1).detach())
    assert not found.raw.any()
