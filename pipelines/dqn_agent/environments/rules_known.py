"""Heuristics for environments of Gymnasium that many know: what a few lines of control do in them."""

from dataclasses import dataclass

import numpy as np

from pipelines.dqn_agent.environments.rules import Rule


@dataclass(frozen=True, slots=True)
class BalancePole:
    """CartPole: push to the side to which the pole leans or soon will."""

    name: str = "pole_angle_and_velocity"

    def act(self, observations: np.ndarray) -> np.ndarray:
        position, velocity, angle, turning = observations.T
        return (angle + 0.3 * turning + 0.02 * position + 0.05 * velocity > 0).astype(np.int64)

    def describe(self) -> str:
        return (
            "Pushes to the side to which the pole leans or turns, and a little against where the cart drifts."
        )


@dataclass(frozen=True, slots=True)
class PushWithMotion:
    """MountainCar: always push the way the car moves."""

    name: str = "push_with_motion"

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.where(observations[:, 1] < 0, 0, 2)

    def describe(self) -> str:
        return "Pushes to the side to which the car moves."


@dataclass(frozen=True, slots=True)
class GlideDown:
    """LunarLander: proportional-derivative control, as the heuristic that comes with Gymnasium does it.

    The lander leans towards the middle, the more the farther away and the faster it drifts, and keeps a height that
    grows with its distance. The engine that corrects the larger error fires.
    """

    name: str = "glide_down"

    def act(self, observations: np.ndarray) -> np.ndarray:
        x, y, x_speed, y_speed, angle, turning, left, right = observations.T
        stands = (left + right) > 0
        wanted_angle = np.clip(0.5 * x + x_speed, -0.4, 0.4)
        tilt = np.where(stands, 0.0, 0.5 * (wanted_angle - angle) - turning)
        rise = np.where(stands, -0.5 * y_speed, 0.5 * (0.55 * np.abs(x) - y) - 0.5 * y_speed)
        main = (rise > np.abs(tilt)) & (rise > 0.05)
        return np.select([main, tilt < -0.05, tilt > 0.05], [2, 3, 1], 0)

    def describe(self) -> str:
        return "Leans towards the landing place, lower the nearer it is, and brakes with the main engine."


RULES: dict[str, Rule] = {
    "CartPole-v0": BalancePole(),
    "CartPole-v1": BalancePole(),
    "MountainCar-v0": PushWithMotion(),
    "LunarLander-v3": GlideDown(),
}
