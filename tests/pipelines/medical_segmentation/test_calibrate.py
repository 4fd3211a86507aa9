"""The temperature makes probabilities right, and the threshold refers the share that was asked for."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.medical_segmentation.calibrate import Calibrated, _temperature
from pipelines.medical_segmentation.config import InferenceConfig
from pipelines.medical_segmentation.inference import Predictor


@pytest.mark.parametrize("wanted", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(wanted):
    rng = np.random.default_rng(0)
    right = rng.normal(size=(40_000, 3)) * 2
    shares = np.exp(right) / np.exp(right).sum(1, keepdims=True)
    truth = (rng.random((len(right), 1)) > shares.cumsum(1)).sum(1).clip(max=2)
    assert _temperature((right * wanted).astype(np.float32), truth) == pytest.approx(wanted, rel=0.05)


class Guess(nn.Module):
    """Answers by brightness and by side, so that views differ from case to case."""

    def forward(self, images: Tensor) -> Tensor:
        side = torch.linspace(1, -1, images.shape[-1]).expand(len(images), 1, *images.shape[2:])
        guess = images[:, :1] + side
        return torch.cat([-guess, guess, torch.full_like(guess, -9.0)], 1)


def calibrated(cases, share: float) -> tuple[Calibrated, np.ndarray]:
    chosen = np.arange(20)
    transfers = cases.transfers(cases.fit_intensity(np.arange(20, 36), small_image()))
    predictor = Predictor(Guess(), (64, 64), InferenceConfig(views=2))
    fitted = Calibrated.fit(predictor, cases, chosen, transfers, share, seed=0)
    final = Predictor(predictor.network, predictor.patch, predictor.config, fitted.temperature)
    sure = [final.find(cases.image(c), transfers[c], cases.frames[c]).confidence.min() for c in chosen]
    return fitted, np.array(sure)


def small_image():
    from pipelines.medical_segmentation.config import ImageConfig

    return ImageConfig(size=64)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_at_most_the_share_of_the_calibration_cases_is_referred(cases, share):
    fitted, sure = calibrated(cases, share)
    referred = (sure < fitted.refer_below).mean()
    assert share - 0.06 <= referred <= share + 1 / len(sure)
    assert fitted.num_cases == 20


def test_calibration_repeats_itself(cases):
    assert calibrated(cases, 0.1)[0] == calibrated(cases, 0.1)[0]
