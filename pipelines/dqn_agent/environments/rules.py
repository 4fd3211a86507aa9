"""Rules of thumb that a learned policy has to beat, each fitted on training seeds alone."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.inventory import InventorySimulator
from pipelines.dqn_agent.environments.maintenance import MaintenanceSimulator
from pipelines.dqn_agent.environments.simulator import SimulatedVectorEnv


class Rule(Protocol):
    """A policy that somebody could write down."""

    @property
    def name(self) -> str:
        """Short, as in tables: letters and underscores."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions of a batch, (N, ...) -> int64 (N,)."""

    def describe(self) -> str:
        """What it does, with the numbers that were computed for it."""


@dataclass(slots=True)
class RandomRule:
    """Any action at any time."""

    num_actions: int
    seed: int
    name: str = "random"
    _generator: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(self.seed)

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self._generator.integers(self.num_actions, size=len(observations))

    def describe(self) -> str:
        return "Each action with the same probability."


def fit_rules(env_id: str, config: EnvironmentConfig, seed: int) -> tuple[Rule, ...]:
    """The rules of an environment, random first and the strongest last; random alone where none is known.

    seed: of the random numbers that parameters are fitted with; those of evaluation are others. Takes seconds.
    """
    from pipelines.dqn_agent.environments import rules_inventory, rules_known, rules_maintenance
    from pipelines.dqn_agent.make import Stepper, make_vector

    stepper = Stepper(make_vector(env_id, 1, config))
    stepper.close()
    rules: tuple[Rule, ...] = (RandomRule(stepper.num_actions, seed),)
    env, horizon = stepper.env, stepper.horizon
    if isinstance(env, SimulatedVectorEnv):
        assert horizon is not None, "simulated worlds are truncated"
        if isinstance(env.simulator, InventorySimulator):
            rules += rules_inventory.fit(env.simulator, horizon, seed)
        elif isinstance(env.simulator, MaintenanceSimulator):
            rules += rules_maintenance.fit(env.simulator, horizon, seed)
    elif env_id in rules_known.RULES:
        rules += (rules_known.RULES[env_id],)
    return rules
