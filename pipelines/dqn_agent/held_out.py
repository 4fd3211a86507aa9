"""A challenger and the champion in the same worlds: environments can be begun again, so nothing has to be kept."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig
from shared.evaluation.means import Means

_METRIC = "mean return, as a share of the champion's gain over random,"


def comparable(card: Card, config: AgentConfig, champion: Card, champion_config: AgentConfig) -> bool:
    """Whether both act in the same environment; names and the scale of rewards make no other one."""
    mine, theirs = config.environment, champion_config.environment
    shape = len(card.observation), len(card.actions), card.image, card.horizon
    return (card.id, mine.parameters, mine.horizon, shape) == (
        champion.id,
        theirs.parameters,
        theirs.horizon,
        (len(champion.observation), len(champion.actions), champion.image, champion.horizon),
    )


def compare(
    mine: np.ndarray, champion: np.ndarray, random: np.ndarray, config: AgentConfig
) -> Mapping[str, Any]:
    """The difference in mean return on the same episodes, float64 (E,) each, for the gate.

    Returns have any unit and zero: the difference is a share of what the champion gains over acting at random.
    """
    gain = abs(float(champion.mean() - random.mean())) or 1.0
    means = Means(
        {"mine": mine / gain, "champion": champion / gain},
        num_replicates=config.evaluation.num_bootstraps,
        seed=config.seed,
    )
    return means.compare("mine", "champion", "test/return_mean").to_json() | {"metric": _METRIC}
