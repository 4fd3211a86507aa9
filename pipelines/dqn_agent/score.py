"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.schema import CASE, observations_contract, value_column
from pipelines.dqn_agent.train import rebuilt
from pipelines.dqn_agent.visited import Visited
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "dqn_agent"
_CARD, _WEIGHTS = "card.json", "model.safetensors"
_NETWORK, _VISITED = "network.", "visited."
# Frames of Atari are 28 kB each: a batch of these passes the convolutions at once.
_BATCH = 4096
_BATCH_OF_FRAMES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """One learnt policy, and what its card calls things.

    It acts and decides without any environment: nothing that registers one is imported here. visited: states of
    development episodes, None as long as nobody played them.
    """

    card: Card
    config: AgentConfig
    network: QNetwork
    visited: Visited | None = None
    version: str = "not registered"

    @classmethod
    def of(
        cls,
        card: Card,
        config: AgentConfig,
        weights: Mapping[str, Tensor],
        visited: Visited | None = None,
        version: str = "not registered",
    ) -> Self:
        """The scorer of one seed's weights, as `train.learn` gives them."""
        return cls(card, config, rebuilt(card, config, dict(weights)).eval(), visited, version)

    def with_visited(self, visited: Visited) -> Self:
        """The same policy that knows where it has been."""
        return replace(self, visited=visited)

    def values(self, observations: np.ndarray) -> np.ndarray:
        """Expected discounted return of each action, in the unit of the reward, float64 (N, A).

        observations: as the environment gives them, float32 (N, F), or stacked frames uint8 (N, channels, H, W).
        """
        size = _BATCH if observations.ndim == 2 else _BATCH_OF_FRAMES
        parts = [
            self._values(observations[start : start + size])
            for start in range(0, max(1, len(observations)), size)
        ]
        return np.concatenate(parts) * self.card.reward_scale

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The action with the highest value, int64 (N,)."""
        return self._values(observations).argmax(1)

    def observations(self, frame: pl.DataFrame) -> np.ndarray:
        """The features of a table valid under `observations_contract`, float32 (N, F)."""
        names = [feature.name for feature in self.card.observation]
        assert names, "agents of frames take no table"
        return np.ascontiguousarray(frame.select(names).to_numpy(), dtype=np.float32)

    def decide(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One row of `agent_decisions` for each row of a table valid under `observations_contract`, without reasons."""
        observations = self.observations(frame)
        values = self.values(observations)
        order = np.argsort(-values, axis=1, kind="stable")
        best, second, rows = order[:, 0], order[:, 1], np.arange(len(values))
        outside = (
            np.zeros(len(rows), dtype=np.bool_)
            if self.visited is None
            else self.visited.outside(observations)
        )
        names = np.array(self.card.actions, dtype=object)
        return frame.select(CASE).with_columns(
            pl.Series("action_number", best, dtype=pl.Int64),
            pl.Series("action", names[best], dtype=pl.String),
            pl.Series("next_action", names[second], dtype=pl.String),
            pl.Series("advantage", values[rows, best] - values[rows, second]),
            pl.Series("outside", outside),
            pl.lit(None, dtype=pl.String).alias("reasons"),
            *(pl.Series(value_column(number), values[:, number]) for number in range(len(self.card.actions))),
            *self.stamps(observations_contract(self.card).id_version),
        )

    def stamps(self, contract: str) -> tuple[pl.Expr, ...]:
        """Which model scored when, and what its input kept."""
        return (
            pl.lit(self.version).alias("model_version"),
            pl.lit(contract).alias("contract"),
            pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC")).alias("scored_at"),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the network, and states that it visited."""
        found = {_NETWORK + name: tensor for name, tensor in self.network.state_dict().items()}
        if self.visited is not None:
            found |= {
                _VISITED + name: torch.from_numpy(getattr(self.visited, name))
                for name in ("states", "low", "high")
            }
        return {name: tensor.contiguous() for name, tensor in found.items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1))
        save_file(self.tensors(), folder / _WEIGHTS)
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes the environment card."""
        (folder / _CARD).write_text(json.dumps(self.card.model_dump(mode="json"), indent=1))

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> Self:
        """Reads what `save` wrote; the folder of a verified bundle has the same files."""
        config = read_config(folder, AgentConfig)
        card = Card.model_validate_json((folder / "features" / _CARD).read_text())
        tensors = load_file(folder / _WEIGHTS)
        visited = {name: tensor.numpy() for name, tensor in _part(tensors, _VISITED).items()}
        known = Visited(**visited) if visited else None
        return cls.of(card, config, _part(tensors, _NETWORK), known, version)

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> Self:
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def _values(self, observations: np.ndarray) -> np.ndarray:
        """As the network gives them, (N, A)."""
        with torch.inference_mode():
            found = self.network.values(torch.from_numpy(np.ascontiguousarray(observations)).unsqueeze(0))
        return np.asarray(found[0].double().numpy())


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
