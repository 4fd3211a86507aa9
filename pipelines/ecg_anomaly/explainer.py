"""Where in a beat it is abnormal, and what its time adds: explanations of the anomaly score.

Integrated gradients go from the patient's usual beat, on time, to this beat: along the difference from the usual beat
for the part of the score that judges shape; the part that judges rhythm depends on one number alone and is given as it
is. So the samples of a beat and its earliness sum to how far its score lies above that of the usual beat. Beside it
stand the heat, which is what the autoencoder did not expect at each sample and costs one pass, and Grad-CAM of the
encoder's last convolution, which says where it saw evidence.

Shapes: B beats, L samples of a beat, as in `model`.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.ecg_anomaly.inputs import DIFFERENCE
from pipelines.ecg_anomaly.model import BeatAutoencoder, ConvEncoder, Detector, LstmEncoder
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import Faithfulness, check, randomisation
from shared.interpretability.grad_cam import grad_cam
from shared.interpretability.gradients import integrated_gradients

BASELINE = "the patient's usual beat, on time"
RHYTHM = "rhythm"
# A beat is taken apart in pieces of so many samples: 44 ms, shorter than any wave.
SEGMENT = 16
_TOLERANCE, _MAX_DOUBLINGS = 0.05, 2
_FEW_BEATS = 20
_BEATS_AT_ONCE = 1024


def heat(detector: Detector, seen: Tensor) -> np.ndarray:
    """Share of each sample in the surprise of a beat, float64 of shape (B, L): not negative, each row sums to 1.

    seen: (B, 3, L), see `BeatInputs.gather`. A sample counts by how much more unexpected it is than that of the usual
    beat; where none is, all count alike.
    """
    parts = [_excess(detector.autoencoder, part) for part in seen.split(_BEATS_AT_ONCE) if len(part)]
    excess = torch.cat([seen.new_zeros((0, seen.shape[2])), *parts]).clamp(min=0).double()
    total = excess.sum(1, keepdim=True)
    shares = torch.where(total > 0, excess / total.clamp(min=torch.finfo().tiny), 1 / seen.shape[2])
    found: np.ndarray = shares.numpy()
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """A fitted detector, and of its beats: samples before the R peak and samples a second."""

    detector: Detector
    before: int
    rate_hz: int
    num_steps: int

    def score(self, seen: Tensor, early: Tensor) -> Tensor:
        """What is explained, (B, 3, L) and (B,) -> (B,)."""
        score: Tensor = self.detector(seen, early)
        return score

    def explain(self, seen: Tensor, early: Tensor) -> Attribution:
        """What each sample adds to the score of a beat, and last its rhythm, values of shape (B, L + 1)."""
        return self._explain(self.detector, seen, early)

    def in_segments(self, by_sample: Attribution) -> Attribution:
        """The same, summed over each piece of the beat; named by its time from the R peak in ms."""
        num_samples = by_sample.values.shape[1] - 1
        return by_sample.grouped(self._segments(num_samples) | {RHYTHM: [num_samples]})

    def alone(self, name: str, by_sample: np.ndarray) -> Attribution:
        """Another explanation, values of shape (B, L), by segment, for the same check; it sums to nothing."""
        found = Attribution(by_sample, (), target="anomaly score", baseline=BASELINE, method=name)
        return found.grouped(self._segments(by_sample.shape[1]))

    def evidence(self, seen: Tensor) -> np.ndarray:
        """Grad-CAM of the encoder's last convolution for a higher score, (B, L), from 0 on."""
        encoder = self.detector.autoencoder.encoder
        assert isinstance(encoder, ConvEncoder | LstmEncoder)
        found = grad_cam(
            self.detector,
            seen,
            encoder.layers[-1],
            score=lambda given: _shape_part(self.detector, given),
            size=(seen.shape[2],),
        )
        return found.map

    def checked(self, by_sample: Attribution, seen: Tensor, early: Tensor, *, seed: int) -> Attribution:
        """The explanation by segment with its faithfulness check attached.

        Removing a piece of a beat puts that of the usual beat in its place, removing the rhythm puts the beat on time.
        """
        attribution = self.in_segments(by_sample)
        return attribution.checked(self.faithfulness(attribution, seen, early, seed=seed))

    def faithfulness(
        self, attribution: Attribution, seen: Tensor, early: Tensor, *, seed: int
    ) -> Faithfulness:
        """Whether removing the pieces in the order of an attribution moves the score more than a random order."""
        num_samples = seen.shape[2]
        groups = self._segments(num_samples)
        if RHYTHM in attribution.names:
            groups = groups | {RHYTHM: [seen[0].numel()]}
        rows = torch.cat([seen.flatten(1), early[:, None]], 1)

        def predict(given: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.score(given[:, :-1].unflatten(1, seen.shape[1:]), given[:, -1])

        return check(predict, attribution, rows, torch.zeros_like(rows[:1]), groups=groups, seed=seed)

    def likeness_to_random(self, seen: Tensor, early: Tensor, *, seed: int) -> float:
        """Mean rank correlation with explanations by networks of random weights, over the pieces of a beat."""
        few, at = seen[:_FEW_BEATS], early[:_FEW_BEATS]

        def explain(network: nn.Module) -> Attribution:
            assert isinstance(network, Detector)
            return self.in_segments(self._explain(network, few, at))

        return randomisation(self.detector, explain, seed=seed)[-1].spearman

    def _explain(self, detector: Detector, seen: Tensor, early: Tensor) -> Attribution:
        found = integrated_gradients(
            detector,
            seen,
            _usual(seen),
            score=lambda given: _shape_part(detector, given),
            num_steps=self.num_steps,
            # the tail has kinks, between which few steps are enough: only beats that need more get them
            tolerance=_TOLERANCE,
            max_steps=self.num_steps * 2**_MAX_DOUBLINGS,
            target="anomaly score",
            baseline_name=BASELINE,
        )
        with torch.inference_mode():
            rhythm = detector.rhythm(early).double().numpy()
            on_time = float(detector.rhythm(torch.zeros(1)))
        assert isinstance(found.base_value, np.ndarray)
        assert found.output is not None
        return replace(
            found,
            values=np.concatenate([found.values[:, DIFFERENCE], (rhythm - on_time)[:, None]], 1),
            base_value=found.base_value + on_time,
            output=found.output + rhythm,
        )

    def _segments(self, num_samples: int) -> dict[str, list[int]]:
        edges = (np.arange(0, num_samples + 1, SEGMENT) - self.before) * 1000 / self.rate_hz
        return {
            f"{edges[at]:.0f} to {edges[at + 1]:.0f} ms": list(range(at * SEGMENT, (at + 1) * SEGMENT))
            for at in range(len(edges) - 1)
        }


def _usual(seen: Tensor) -> Tensor:
    """The usual beats of the same patients, as inputs."""
    usual = seen.clone()
    usual[:, DIFFERENCE] = 0
    return usual


def _shape_part(detector: Detector, seen: Tensor) -> Tensor:
    part: Tensor = detector.shape(detector.autoencoder(seen).mean(1))
    return part


def _excess(autoencoder: BeatAutoencoder, seen: Tensor) -> Tensor:
    """How much more unexpected each sample is than that of the usual beat, (B, L), nats."""
    with torch.inference_mode():
        excess = autoencoder(seen) - autoencoder(_usual(seen))
        return functional.interpolate(excess[:, None], size=seen.shape[2], mode="nearest")[:, 0]
