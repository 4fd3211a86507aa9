"""How far explanations of decisions can be trusted: they add up, what they name decides, a second method agrees."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.dqn_agent.explainer import TARGET, Advantage, Explainer
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import Faithfulness, check
from shared.interpretability.grad_cam import ClassActivation
from shared.interpretability.ranks import mean_interval, rank_correlations

# Second opinions and networks of random weights cost a hundred times as much as one explanation.
_MOST_COMPARED, _MOST_RANDOMISED = 50, 20
# Cells along each axis of a frame: as many as the last convolution has of an Atari frame.
_CELLS = 7
_NUM_RANDOM_FRAMES = 2


def checks_of_features(
    explainer: Explainer, attribution: Attribution, seen: Tensor, *, seed: int
) -> dict[str, Any]:
    """The explanation with its faithfulness as `attribution`, and `agreement` with integrated gradients.

    Removal puts values of background states in the place of features, strongest first, beside random orders. With a
    single feature there is no order, so nothing is checked.
    """
    if len(explainer.names) < 2 or len(seen) < 2:
        return {"attribution": attribution.to_json(), "agreement": None}
    groups = {name: [place] for place, name in enumerate(explainer.names)}
    few = seen[:_MOST_RANDOMISED]
    faithfulness = check(
        explainer.advantage,
        attribution,
        seen,
        torch.cat([explainer.background, torch.zeros(len(explainer.background), 2)], 1),
        groups=groups,
        model=explainer.advantage,
        explain=lambda twin: _of_twin(explainer, twin, few),
        seed=seed,
    )
    return {
        "attribution": attribution.checked(faithfulness).to_json(),
        "agreement": _agreement(explainer, attribution, seen, seed),
    }


def checks_of_frames(
    explainer: Explainer, activation: ClassActivation, seen: Tensor, *, seed: int
) -> dict[str, Any]:
    """The same for maps of frames, whose cells are removed; Grad-CAM divides nothing, so nothing has to add up."""
    attribution = _by_cell(explainer, activation.map)
    if len(seen) > 1:
        attribution = attribution.checked(_faithfulness_of_cells(explainer, attribution, seen, seed))
    document = attribution.to_json()
    # of cells, which have no names
    document.pop("importance")
    return {"attribution": document, "agreement": None}


def _of_twin(explainer: Explainer, twin: nn.Module, seen: Tensor) -> Attribution:
    assert isinstance(twin, Advantage), "a copy of the explained module"
    return explainer.with_advantage(twin).explain(seen)


def _agreement(explainer: Explainer, attribution: Attribution, seen: Tensor, seed: int) -> dict[str, Any]:
    """Rank correlation with integrated gradients and how often both name the same feature first, by state."""
    places = np.linspace(0, len(seen) - 1, min(_MOST_COMPARED, len(seen))).round().astype(np.int64)
    other = explainer.gradients(seen[torch.from_numpy(places)])
    own = attribution.values[places]
    mean, low, high = mean_interval(rank_correlations(own, other.values), seed=seed)
    first = np.abs(own).argmax(1) == np.abs(other.values).argmax(1)
    return {
        "method": other.method,
        "states": len(places),
        "spearman": mean,
        "low": low,
        "high": high,
        "same_first": float(first.mean()),
    }


def _faithfulness_of_cells(
    explainer: Explainer, attribution: Attribution, seen: Tensor, seed: int
) -> Faithfulness:
    channels, *size = explainer.advantage.shape
    pixels = size[0] * size[1]
    groups = {
        f"cell {number}": [place + channel * pixels for channel in range(channels) for place in cell]
        for number, cell in enumerate(_cells(tuple(size)))
    }
    mean = torch.cat([explainer.background.mean(0), torch.zeros(2)])[None]
    few = seen[:_MOST_RANDOMISED]

    def explain(twin: nn.Module) -> Attribution:
        assert isinstance(twin, Advantage), "a copy of the explained module"
        return _by_cell(explainer, explainer.with_advantage(twin).evidence(few).map)

    return check(
        explainer.advantage, attribution, seen, mean, groups=groups, model=explainer.advantage, explain=explain,
        num_random=_NUM_RANDOM_FRAMES, seed=seed,
    )  # fmt: skip


def _by_cell(explainer: Explainer, maps: np.ndarray) -> Attribution:
    """Sums of maps of shape (B, height, width) over cells, (B, cells)."""
    flat = maps.reshape(len(maps), -1)
    values = np.stack([flat[:, cell].sum(1) for cell in _cells(maps.shape[1:])], 1)
    return Attribution(
        values,
        (),
        target=TARGET,
        baseline="mean frame",
        method="Grad-CAM of the last convolution",
        unit=explainer.unit,
    )


def _cells(size: tuple[int, ...]) -> list[list[int]]:
    places = np.arange(size[0] * size[1]).reshape(size)
    rows = np.array_split(places, _CELLS)
    return [cell.ravel().tolist() for row in rows for cell in np.array_split(row, _CELLS, axis=1)]
