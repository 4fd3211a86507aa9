"""Environments of users: modules that register one, and cards that describe it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

# A box drifts from the middle and is pushed back; frames show where it is.
_MODULE = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Drift(gymnasium.Env):
    metadata = {"render_modes": []}

    def __init__(self, speed: float = 0.1, frames: bool = False):
        self.speed, self.frames = speed, frames
        self.observation_space = Box(0, 255, (40, 40), np.uint8) if frames else Box(-2, 2, (2,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.wind = 0.0, self.np_random.uniform(-self.speed, self.speed)
        return self._seen(), {}

    def step(self, action):
        self.place += self.wind + (0.1 if action else -0.1)
        ended = abs(self.place) > 1
        return self._seen(), 1.0 - abs(self.place), ended, False, {"fuel": 0.1}

    def _seen(self):
        if not self.frames:
            return np.array([self.place, self.wind], dtype=np.float32)
        frame = np.zeros((40, 40), dtype=np.uint8)
        column = int(np.clip(20 + 15 * self.place, 0, 36))
        frame[18:22, column:column + 4] = 255
        return frame


for name, frames in (("own/Drift-v0", False), ("own/Film-v0", True)):
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=Drift, max_episode_steps=40, kwargs={"frames": frames})
"""
CARD: dict[str, Any] = {
    "id": "own/Drift-v0",
    "observation": [
        {"name": "place", "unit": "m", "low": -2, "high": 2},
        {"name": "wind", "unit": "m/s", "low": -2, "high": 2},
    ],
    "actions": ["push left", "push right"],
    "reward_unit": "points",
    "horizon": 40,
    "cost_terms": ["fuel"],
    "module": "own_drift",
}


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "own_drift") -> str:
    """A module that can be imported as long as the test lasts. Returns its name."""
    (folder / f"{name}.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def write_card(folder: Path, **changes: Any) -> Path:
    """The card of `own/Drift-v0` as YAML, with fields changed."""
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(CARD | changes))
    return path
