"""Which explanation, of which output, against what.

With failures in the training the remaining life is explained: integrated gradients over readings and inputs, from the
mean healthy window to the machine's own, summed over the readings and both inputs of a sensor. So the contributions of
the sensors, in the fleet's time unit, sum to how far the forecast lies from that of a healthy machine. Grad-CAM says
beside it when within the window evidence for a shorter life was seen. Without failures the autoencoder's errors are
the explanation: they sum to the anomaly score.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.predictive_maintenance.model import RUL, CnnLstm, Ensemble, LstmAutoencoder
from pipelines.predictive_maintenance.windows import Windows
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import check
from shared.interpretability.grad_cam import grad_cam
from shared.interpretability.gradients import integrated_gradients

BASELINE = "mean window of healthy operation"
_WINDOWS_AT_ONCE = 2048
_MAX_DOUBLINGS = 3
_FEW_ROWS = 20


def normal_window(windows: Windows, healthy: np.ndarray) -> Tensor:
    """Mean of the windows that end in the rows `healthy` of training machines, float32 of shape (1, L, C)."""
    parts = torch.from_numpy(healthy).split(_WINDOWS_AT_ONCE)
    total = torch.stack([windows.gather(part).double().sum(0) for part in parts]).sum(0)
    return (total / len(healthy)).float()[None]


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """Networks and what they are explained against; shapes as in `model`.

    network: None where the fleet had no failures to learn from. normal: see `normal_window`. sources: the channel
    behind each input, see `Inputs`. cap and time_unit: of the forecast. num_steps: of the integrated gradients.
    """

    network: Ensemble | None
    autoencoder: LstmAutoencoder
    normal: Tensor
    sources: tuple[str, ...]
    cap: float
    time_unit: str
    num_steps: int

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that contributions are given for."""
        return tuple(dict.fromkeys(self.sources))

    def explain(self, windows: Tensor) -> Attribution:
        """What each of `channels` adds to the remaining life of each window, (B, channels); below 0 it shortens it.

        Without a network: what it adds to the anomaly score. windows of shape (B, L, C).
        """
        return self.errors(windows) if self.network is None else self.of_sensors(self.by_reading(windows))

    def output(self, windows: Tensor) -> Tensor:
        """What is explained, (B, L, C) -> (B,): remaining life, not cut at the cap, else the anomaly score."""
        return self.autoencoder(windows) if self.network is None else self._life(self.network, windows)

    def by_reading(self, windows: Tensor) -> Attribution:
        """What each input of each reading adds to the remaining life, values of shape (B, L, C)."""
        assert self.network is not None, "without a network there is no remaining life"
        return self._gradients(self.network, windows, _MAX_DOUBLINGS)

    def of_sensors(self, by_reading: Attribution) -> Attribution:
        """The same, summed to one value for each of `channels`."""
        return replace(by_reading, values=by_reading.values.sum(1)).grouped(self._groups())

    def errors(self, windows: Tensor) -> Attribution:
        """What each of `channels` adds to the anomaly score."""
        with torch.inference_mode():
            found = self.autoencoder.errors(windows).double()
        whole = Attribution(
            values=found.numpy(),
            names=(),
            target="anomaly score",
            baseline="no error",
            method="reconstruction errors",
            unit="times usual",
            base_value=0.0,
            output=found.sum(1).numpy(),
        )
        return whole.grouped(self._groups())

    def evidence(self, windows: Tensor) -> np.ndarray:
        """Grad-CAM of the last convolution for a shorter life, (B, L), from 0 on; mean over the networks."""
        assert self.network is not None, "without a network there is no remaining life"
        maps = [self._evidence_of(member, windows) for member in self.network.members]
        return np.mean(maps, axis=0)

    def _evidence_of(self, member: nn.Module, windows: Tensor) -> np.ndarray:
        def shortened(given: Tensor) -> Tensor:
            return -self._life(member, given)

        assert isinstance(member, CnnLstm)
        # what the last convolution found, before it is halved
        layer = member.convolutions[-2]
        return grad_cam(member, windows, layer, score=shortened, size=(windows.shape[1],)).map

    def checked(self, attribution: Attribution, windows: Tensor, *, seed: int) -> Attribution:
        """The explanation of these windows, by sensor, with its faithfulness check attached.

        Removing a sensor puts its part of the normal window in its place. That errors are large where readings are
        unusual holds for random weights, too: only the explanation of a remaining life is compared with such networks.
        """
        num_inputs = len(self.sources)
        starts = np.arange(windows.shape[1])[:, None] * num_inputs
        groups = {name: (starts + columns).ravel().tolist() for name, columns in self._groups().items()}
        faithfulness = check(
            self._predict(),
            attribution,
            windows,
            self.normal,
            groups=groups,
            model=self.network,
            explain=None if self.network is None else self._explain_few(windows[:_FEW_ROWS]),
            seed=seed,
        )
        return attribution.checked(faithfulness)

    def _predict(self) -> Callable[[Tensor], Tensor]:
        def predict(windows: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.output(windows)

        return predict

    def _explain_few(self, windows: Tensor) -> Callable[[nn.Module], Attribution]:
        return lambda network: self.of_sensors(self._gradients(network, windows, 0))

    def _life(self, network: nn.Module, windows: Tensor) -> Tensor:
        life: Tensor = network(windows)[:, RUL] * self.cap
        return life

    def _gradients(self, network: nn.Module, windows: Tensor, max_doublings: int) -> Attribution:
        found = integrated_gradients(
            network,
            windows,
            self.normal,
            score=lambda given: self._life(network, given),
            num_steps=self.num_steps,
            max_steps=self.num_steps * 2**max_doublings,
            target="remaining useful life",
            baseline_name=BASELINE,
            unit=self.time_unit,
        )
        assert isinstance(found.base_value, np.ndarray)
        return replace(found, base_value=float(found.base_value[0]))

    def _groups(self) -> dict[str, list[int]]:
        return {
            name: [place for place, source in enumerate(self.sources) if source == name]
            for name in self.channels
        }
