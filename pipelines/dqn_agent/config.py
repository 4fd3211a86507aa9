"""Every knob of agents, with its unit and its reason."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from shared.orchestration.overrides import Section

_Width = Annotated[int, Field(ge=1, le=8192)]


class EnvironmentConfig(Section):
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


class NetworkConfig(Section):
    """The Q-network."""

    hidden: tuple[_Width, ...] = Field(
        (120, 84), min_length=1, description="units of the hidden layers, for features"
    )
    layer_norm: bool = Field(
        True, description="normalise hidden layers, which keeps learning from drifting (Gallici et al. 2025)"
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


class LearningConfig(Section):
    """How the network learns from what was lived through."""

    steps: int = Field(50_000, ge=100, le=1_000_000_000, description="environment steps of each seed")
    starts: int = Field(1_000, ge=1, description="steps before the first update")
    steps_per_update: float = Field(
        2.0,
        gt=0,
        le=10_000,
        description="environment steps of each seed between updates; below 1 updates more often",
    )
    batch_size: int = Field(128, ge=1, le=65_536, description="transitions of an update")
    capacity: int = Field(50_000, ge=100, le=50_000_000, description="transitions that are remembered")
    discount: float | None = Field(
        None, gt=0, lt=1, description="what a reward of the next step is worth now; None: as the card says"
    )
    num_steps: int = Field(
        3, ge=1, le=100, description="rewards that are summed before the network's own estimate is used"
    )
    double: bool = Field(
        True, description="choose the next action with the newest network and value it with the older"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam")
    last_learning_rate_share: float = Field(
        0.01, gt=0, le=1, description="of the learning rate at the last step; it falls linearly"
    )
    clip_norm: float | None = Field(10.0, gt=0, description="largest norm of the gradient of each seed")
    target_every: int = Field(1, ge=1, description="updates after which the target network is renewed")
    target_share: float = Field(
        0.01, gt=0, le=1, description="how much of the target is renewed: 1 is a copy, less is Polyak"
    )
    priority_power: float = Field(
        0.6,
        ge=0,
        le=1,
        description="how far errors decide what is drawn again; 0: all alike. Rare ends are else forgotten",
    )
    weight_power: float = Field(
        0.2,
        ge=0,
        le=1,
        description="how far weights undo the priorities. All the way, rare ends are forgotten again near the end",
    )
    checkpoint_every_seconds: float = Field(60.0, gt=0, description="between checkpoints")


class ExplorationConfig(Section):
    """How often an action is random, without noisy layers."""

    first: float = Field(1.0, ge=0, le=1, description="share of random actions at the start")
    last: float = Field(0.1, ge=0, le=1, description="share of random actions in the end")
    over: float = Field(0.3, gt=0, le=1, description="share of the steps over which it falls")


class EvaluationConfig(Section):
    """How policies are judged: greedily, in environments of their own."""

    num_episodes: int = Field(
        100,
        ge=2,
        le=100_000,
        description="test episodes of each seed and of each rule, the same worlds for all",
    )
    num_selection_episodes: int = Field(
        50,
        ge=2,
        le=100_000,
        description="development episodes of the kept networks, which choose the seed that is served",
    )
    kept: Literal["best", "last"] = Field(
        "best",
        description="which network of a seed is kept: the best on development episodes while it learnt, or the last",
    )
    num_curve_episodes: int = Field(
        20, ge=1, le=100_000, description="development episodes of a look at the policy while it learns"
    )
    curve_points: int = Field(20, ge=2, le=1000, description="looks at the policy while it learns")
    num_bootstraps: int = Field(1000, ge=100, le=100_000, description="resamples of an interval")
    solved_at: float | None = Field(
        None, description="mean return from which a seed has solved it; None: the card's success threshold"
    )


class ExplanationConfig(Section):
    """How decisions are explained."""

    num_checked: int = Field(
        200, ge=20, le=100_000, description="visited states on which explanations are checked"
    )
    num_steps: int = Field(
        32, ge=4, le=512, description="steps of integrated gradients, doubled where they do not add up"
    )
    map_features: tuple[str, str] | None = Field(
        None, description="the two features of the maps; None: the two that decide most"
    )
    film_steps: int = Field(300, ge=10, le=5000, description="steps of the episode that the report shows")


class AgentConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(0, ge=0, lt=2**31, description="first of the seeds, and seed of tests and resampling")
    num_seeds: int = Field(5, ge=1, le=100, description="networks that learn side by side")
    environment: EnvironmentConfig = EnvironmentConfig()
    network: NetworkConfig = NetworkConfig()
    learning: LearningConfig = LearningConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanation: ExplanationConfig = ExplanationConfig()
    ablation: bool = Field(False, description="learn again with each switch turned over, and compare")


def tiny() -> AgentConfig:
    """Seconds: for tests. Everything runs, nothing is learnt well."""
    return AgentConfig(
        preset="tiny",
        num_seeds=2,
        network=NetworkConfig(hidden=(32,)),
        learning=LearningConfig(steps=2_000, starts=200, batch_size=32, capacity=2_000),
        evaluation=EvaluationConfig(
            num_episodes=8, num_selection_episodes=4, num_curve_episodes=2, curve_points=3, num_bootstraps=100
        ),
        explanation=ExplanationConfig(num_checked=20, film_steps=60),
    )


def quick() -> AgentConfig:
    """Under a minute on two CPU cores; the default."""
    return AgentConfig(num_seeds=3, evaluation=EvaluationConfig(curve_points=10))


def full() -> AgentConfig:
    """The real thing: ten seeds."""
    return AgentConfig(preset="full", num_seeds=10, evaluation=EvaluationConfig(num_bootstraps=2000))


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
