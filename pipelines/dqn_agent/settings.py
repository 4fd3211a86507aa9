"""Settings of environments that are known: found on development episodes, never on those of the test.

They lie over a preset and under what the user sets; `tiny` stays tiny. Other environments learn with the defaults.
"""

from typing import Any

from pipelines.dqn_agent.environments.register import ATARI, INVENTORY, MAINTENANCE
from pipelines.dqn_agent.ingest import environment_id

_FULL: dict[str, dict[str, Any]] = {
    "CartPole-v0": {"evaluation.solved_at": 195},
    "CartPole-v1": {"learning.steps": 40_000},
    "LunarLander-v3": {
        "learning.steps": 250_000,
        "learning.steps_per_update": 4,
        "learning.capacity": 100_000,
    },
    INVENTORY: {"learning.steps": 150_000, "learning.capacity": 100_000},
    MAINTENANCE: {"learning.steps": 150_000, "learning.capacity": 100_000},
}
_ATARI = {
    "network.distribution": "quantiles",
    "learning.steps": 10_000_000,
    "learning.steps_per_update": 4,
    "learning.batch_size": 32,
    "learning.starts": 20_000,
    "learning.capacity": 1_000_000,
    "learning.learning_rate": 1e-4,
    "exploration.last": 0.01,
    "exploration.over": 0.1,
}
# Fewer steps and smaller batches, but not fewer updates to a step: with every fifth step only, the shop's networks
# ended at 1.7 times the costs (development episodes, 2026-11-22).
_QUICK_STEPS, _QUICK_BATCH_SIZE = 25_000, 64


def known_settings(source: str, preset: str) -> dict[str, Any]:
    """Dotted knobs for a source's environment; none where it is not known."""
    if preset == "tiny":
        return {}
    env_id = environment_id(source)
    found = dict(_ATARI if env_id.startswith(ATARI) else _FULL.get(env_id, {}))
    if preset == "quick" and "learning.steps" in found:
        found["learning.steps"] = min(found["learning.steps"], _QUICK_STEPS)
        found["learning.capacity"] = min(found.get("learning.capacity", _QUICK_STEPS), _QUICK_STEPS)
        found["learning.batch_size"] = min(
            found.get("learning.batch_size", _QUICK_BATCH_SIZE), _QUICK_BATCH_SIZE
        )
        found.pop("learning.starts", None)
    return found
