"""Why an agent acts as it does: what each feature adds to the advantage of its action over the next best one.

Explained is Q(chosen) - Q(next best), in the unit of the reward: a value alone says how good a state is, not why one
action is taken in it. Features: Shapley values (Lundberg and Lee 2017, arXiv 1705.07874) against a few states that the
policy visited, so that contributions sum to how far the advantage lies from its mean over those states. Integrated
gradients (Sundararajan et al. 2017, arXiv 1703.01365) from the same states are the second opinion: faster, but removing
features in their order changed decisions less (CartPole, stock and maintenance, 2026-11). Frames: Grad-CAM (Selvaraju
et al. 2017, arXiv 1610.02391) of the last convolution.

Shapes: B states, P numbers of an observation, K states of the background.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.environments.register import MAINTENANCE
from pipelines.dqn_agent.networks import QNetwork
from shared.interpretability.attribution import Attribution
from shared.interpretability.grad_cam import ClassActivation, grad_cam
from shared.interpretability.gradients import integrated_gradients
from shared.interpretability.shapley import shapley_values

if TYPE_CHECKING:
    from pipelines.dqn_agent.score import Scorer

NUM_BACKGROUND = 16
TARGET = "value of the chosen action less that of the next best"
# All coalitions of so many features are tried, of more features as many drawn ones.
_MOST_EXACT, _COALITIONS = 10, 512
# What may be missing of a difference to one state; what is missing of the mean over all of them is smaller.
_TOLERANCE = 0.05
_MAX_DOUBLINGS = 4
_ROUNDING = 1e-4
# Place of a feature of fieldwork/MachineMaintenance-v0.
_DAYS_STANDING = 6
_NUM_REASONS = 5


class Advantage(nn.Module):
    """(B, P + 2) -> (B,): value of one action less that of another, in the unit of the reward.

    Columns: an observation as the environment gives it, flattened, then the numbers of both actions.
    """

    def __init__(self, network: QNetwork, shape: tuple[int, ...], scale: float) -> None:
        super().__init__()
        self.network, self.shape, self.scale = network, shape, scale

    def forward(self, seen: Tensor) -> Tensor:
        observations = seen[:, :-2].unflatten(1, self.shape)
        values = self.network.values(observations[None])[0].gather(1, seen[:, -2:].long())
        return (values[:, 0] - values[:, 1]) * self.scale


class _OneSeed(nn.Module):
    """Convolutions of a single seed, (1, B, C, H, W) -> the same; `look` sees them without the axis of the seed."""

    def __init__(self, eyes: nn.Module) -> None:
        super().__init__()
        self.eyes, self.look = eyes, nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.look(self.eyes(frames)[0])
        return found[None]


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """A policy with what its decisions are compared with. background: (K, P), visited states."""

    scorer: "Scorer"
    advantage: Advantage
    background: Tensor

    @classmethod
    def of(cls, scorer: "Scorer") -> Self:
        """The explainer of what a scorer decides, which has to know states that were visited."""
        assert scorer.visited is not None, "explanations compare with visited states"
        states = scorer.visited.states
        network, background = scorer.network, background_of(states[decides(scorer.card, states)])
        shape = background.shape[1:]
        if network.eyes is not None:
            network = copy.deepcopy(network)
            assert network.eyes is not None, "copied"
            network.eyes = nn.Sequential(_OneSeed(network.eyes))
        advantage = Advantage(network, shape, scorer.card.reward_scale).eval()
        flat = torch.from_numpy(background).float().flatten(1)
        return cls(scorer, advantage, flat)

    @property
    def card(self) -> Card:
        """What features and actions are called."""
        return self.scorer.card

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features; none for frames."""
        return tuple(feature.name for feature in self.card.observation)

    @property
    def of_frames(self) -> bool:
        """Whether the agent sees images."""
        return len(self.advantage.shape) == 3

    def with_advantage(self, advantage: Advantage) -> Self:
        """The same for another network."""
        return replace(self, advantage=advantage)

    def decisions(self, observations: np.ndarray) -> np.ndarray:
        """The action that is taken and the next best one, int64 (B, 2)."""
        order: np.ndarray = np.argsort(-self.scorer.values(observations), axis=1, kind="stable")[:, :2]
        return order

    def seen(self, observations: np.ndarray, pairs: np.ndarray | Sequence[int]) -> Tensor:
        """What `explain` takes: observations beside pairs of actions, (B, 2) or one for all."""
        flat = torch.from_numpy(observations).float().flatten(1)
        both = torch.from_numpy(np.array(np.broadcast_to(pairs, (len(flat), 2)), dtype=np.float32))
        return torch.cat([flat, both], 1)

    def explain(self, seen: Tensor) -> Attribution:
        """What each feature adds to the advantage of the first action over the second, values of shape (B, F).

        Exact for up to ten features; beyond, sampled with the same luck each time, and complete all the same.
        """
        groups = {name: [place] for place, name in enumerate(self.names)}
        # columns in no group, those of the actions, stay as in the row
        background = torch.cat([self.background, torch.zeros(len(self.background), 2)], 1)
        found = shapley_values(
            self.advantage,
            seen,
            background,
            groups,
            method="exact" if len(groups) <= _MOST_EXACT else "permutation",
            num_coalitions=_COALITIONS,
            target=TARGET,
            unit=self.unit,
        )
        # what a feature adds that decides nothing is zero up to the rounding of the network, and is to read so
        noise = _ROUNDING * np.abs(found.values).max(1, keepdims=True, initial=0.0)
        values = np.where(np.abs(found.values) > noise, found.values, 0.0)
        return replace(found, values=values, baseline=f"mean over {len(background)} visited states")

    def gradients(self, seen: Tensor) -> Attribution:
        """The same by integrated gradients from each state of the background, averaged; values of shape (B, F).

        Steps are doubled where what they divide does not add up.
        """
        rows, size, num_steps = len(seen), len(self.background), self.scorer.config.explanation.num_steps
        here = seen.repeat_interleave(size, 0)
        there = torch.cat([self.background.repeat(rows, 1), here[:, -2:]], 1)
        found = integrated_gradients(
            self.advantage,
            here,
            there,
            tolerance=_TOLERANCE,
            num_steps=num_steps,
            max_steps=num_steps * 2**_MAX_DOUBLINGS,
            names=(*self.names, "action", "other"),
            target=TARGET,
            unit=self.unit,
        )
        assert found.output is not None
        assert found.base_value is not None
        values = found.values[:, :-2].astype(np.float64).reshape(rows, size, -1).mean(1)
        base = np.reshape(found.base_value, (rows, size)).astype(np.float64).mean(1)
        output = found.output.reshape(rows, size)[:, 0].astype(np.float64)
        return replace(found, values=values, names=self.names, base_value=base, output=output)

    def evidence(self, seen: Tensor) -> ClassActivation:
        """Grad-CAM of frames: where the last convolution saw evidence for the first action and against the second."""
        assert self.advantage.network.eyes is not None, "features have no place in a frame"
        (eyes,) = self.advantage.network.eyes
        assert isinstance(eyes, _OneSeed), "put there by `of`"
        return grad_cam(
            self.advantage,
            seen,
            eyes.look,
            size=tuple(self.advantage.shape[1:]),
            num_points=16,
            target=TARGET,
        )

    @property
    def unit(self) -> str:
        """Of contributions; nothing for numbers without a unit."""
        return "" if self.card.reward_unit == "1" else self.card.reward_unit


def decides(card: Card, observations: np.ndarray) -> np.ndarray:
    """In which states an action has an effect, bool (B,): a machine that stands stands, whatever is decided."""
    if card.id != MAINTENANCE:
        return np.ones(len(observations), dtype=np.bool_)
    found: np.ndarray = observations[:, _DAYS_STANDING] == 0
    return found


def background_of(observations: np.ndarray) -> np.ndarray:
    """States that explanations compare with: at most `NUM_BACKGROUND`, evenly over those visited, in their order."""
    places = (
        np.linspace(0, len(observations) - 1, min(NUM_BACKGROUND, len(observations))).round().astype(np.int64)
    )
    chosen: np.ndarray = observations[places]
    return chosen


def reasons(scorer: "Scorer", observations: np.ndarray) -> pl.Series:
    """Why each action is taken and not the next best: JSON lists, the strongest feature first, of at most five.

    observations: float32 (B, features). An entry has the name, value and unit of the feature, and its contribution to
    the advantage in the unit of the reward, positive where it speaks for the action.
    """
    explainer = Explainer.of(scorer)
    assert not explainer.of_frames, "frames have no named features"
    if not len(observations):
        return pl.Series("reasons", [], dtype=pl.String)
    found = explainer.explain(explainer.seen(observations, explainer.decisions(observations)))
    lists = [
        json.dumps(strongest(explainer.card, row, contributions), ensure_ascii=False)
        for row, contributions in zip(observations, found.values, strict=True)
    ]
    return pl.Series("reasons", lists, dtype=pl.String)


def strongest(
    card: Card, observation: np.ndarray, contributions: np.ndarray, most: int = _NUM_REASONS
) -> list[dict[str, str | float]]:
    """Features of one decision by the size of their contribution; none that adds nothing."""
    order = [place for place in np.argsort(-np.abs(contributions), kind="stable") if contributions[place]]
    return [
        {
            "name": card.observation[place].name,
            "value": float(f"{observation[place]:.6g}"),
            "unit": card.observation[place].unit,
            "contribution": float(f"{contributions[place]:.6g}"),
        }
        for place in order[:most]
    ]
