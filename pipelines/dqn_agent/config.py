"""Every knob of agents, with its unit and its reason."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

_Width = Annotated[int, Field(ge=1, le=8192)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EnvironmentConfig(_Section):
    """How environments are stepped."""

    num_envs: int = Field(
        10, ge=1, le=4096, description="environments of each seed that are stepped together"
    )
    module: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
        description="module of your own that registers the environment; its code is run",
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="of the environment's constructor, for example lead_time_days: 3"
    )
    horizon: int | None = Field(
        None, ge=1, le=10_000_000, description="steps after which episodes are truncated; None: as registered"
    )
    frame_stack: int = Field(4, ge=1, le=16, description="frames that the network sees at once, for images")


class NetworkConfig(_Section):
    """The Q-network."""

    hidden: tuple[_Width, ...] = Field(
        (120, 84), min_length=1, description="units of the hidden layers, for features"
    )
    dueling: bool = Field(False, description="value of a state and advantages of actions apart")
    noisy: bool = Field(False, description="explore by learnt noise of the weights instead of at random")
    noise: float = Field(
        0.5, gt=0, le=10, description="noise to begin with, as a share of the first weights' range"
    )
    distribution: Literal["mean", "atoms", "quantiles"] = Field(
        "mean",
        description="learn the mean return, its distribution on fixed atoms (C51), or its quantiles (QR-DQN)",
    )
    atoms: int = Field(51, ge=2, le=1001, description="atoms or quantiles")
    lowest: float = Field(0.0, description="return of the lowest atom, discounted; atoms only")
    highest: float = Field(100.0, description="return of the highest atom, discounted; atoms only")

    @model_validator(mode="after")
    def _rising(self) -> "NetworkConfig":
        if self.lowest >= self.highest:
            raise ValueError(
                f"Expected network.lowest below network.highest. Received {self.lowest:g}, {self.highest:g}."
            )
        return self


class LearningConfig(_Section):
    """How the network learns from what was lived through."""

    steps: int = Field(50_000, ge=100, le=1_000_000_000, description="environment steps of each seed")
    starts: int = Field(1_000, ge=1, description="steps before the first update")
    steps_per_update: int = Field(
        10, ge=1, le=10_000, description="environment steps of each seed between updates"
    )
    batch_size: int = Field(128, ge=1, le=65_536, description="transitions of an update")
    capacity: int = Field(10_000, ge=100, le=50_000_000, description="transitions that are remembered")
    discount: float = Field(0.99, gt=0, lt=1, description="what a reward of the next step is worth now")
    num_steps: int = Field(
        1, ge=1, le=100, description="rewards that are summed before the network's own estimate is used"
    )
    double: bool = Field(
        True, description="choose the next action with the newest network and value it with the older"
    )
    learning_rate: float = Field(2.5e-4, gt=0, le=1, description="of Adam")
    clip_norm: float | None = Field(10.0, gt=0, description="largest norm of the gradient of each seed")
    target_every: int = Field(500, ge=1, description="steps after which the target network is renewed")
    target_share: float = Field(
        1.0, gt=0, le=1, description="how much of the target is renewed: 1 is a copy, less is Polyak"
    )
    priority_power: float = Field(
        0.0, ge=0, le=1, description="how far errors decide what is drawn again; 0: all alike"
    )
    weight_power: float = Field(
        0.4, ge=0, le=1, description="how far weights undo the priorities at first; 1 at the end"
    )


class ExplorationConfig(_Section):
    """How often an action is random, without noisy layers."""

    first: float = Field(1.0, ge=0, le=1, description="share of random actions at the start")
    last: float = Field(0.05, ge=0, le=1, description="share of random actions in the end")
    over: float = Field(0.5, gt=0, le=1, description="share of the steps over which it falls")
