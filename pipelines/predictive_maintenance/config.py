"""Every knob of predictive maintenance, with its unit and its reason; presets are functions."""

from typing import Literal, Self

from pydantic import Field, model_validator

from shared.orchestration.overrides import Section


class DataConfig(Section):
    """Where readings come from."""

    num_units: int = Field(120, ge=10, le=100_000, description="machines that the generator makes")
    num_sensors: int = Field(14, ge=5, le=200, description="sensors of each generated machine")
    num_regimes: int = Field(3, ge=1, le=8, description="operating regimes of the generated fleet")
    max_life: int = Field(350, ge=60, le=100_000, description="longest generated life, cycles")
    subset: Literal["FD001", "FD002", "FD003", "FD004"] = Field(
        "FD001", description="which of the four C-MAPSS sets"
    )
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own table, for example unit_id: machine"
    )
    settings: tuple[str, ...] = Field(
        (), description="columns of a user's own table that say how the machine is run, such as load"
    )
    sensors: tuple[str, ...] = Field(
        (), description="its sensor columns; none: every column of numbers that has no other part to play"
    )
    units: dict[str, str] = Field(
        default_factory=dict, description="setting or sensor -> its unit, for example oil_temperature: degC"
    )
    time_unit: str | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="what a time given as a number counts, for reports; None: cycles. Moments become hours",
    )


class FeatureConfig(Section):
    """What the networks see of a machine."""

    window_length: int = Field(100, ge=8, le=1000, description="readings that one forecast looks back on")
    beginning_length: int = Field(
        20,
        ge=1,
        le=1000,
        description="readings whose mean is a machine's own normal: each sensor is also given as its difference",
    )
    max_gap_steps: float = Field(
        10.0,
        ge=1,
        le=1e6,
        description="steps for which a lost reading is carried forward; longer gaps begin anew",
    )
    limit: float = Field(10.0, gt=0, le=1e6, description="scaled readings are cut to +- this many deviations")


class TargetConfig(Section):
    """What is forecast; both in the fleet's time unit."""

    rul_cap: float | None = Field(
        None,
        gt=0,
        le=1e8,
        description="remaining life is learnt up to this, far from failure nothing tells how far; None: what a public "
        "set is usually reported with (C-MAPSS: 125), else 60 % of the median life",
    )
    horizon: float | None = Field(
        None,
        gt=0,
        le=1e8,
        description="failing within this time is forecast as a probability; None: a quarter of the cap",
    )

    @model_validator(mode="after")
    def _horizon_within_cap(self) -> Self:
        if self.rul_cap and self.horizon and self.horizon > self.rul_cap:
            raise ValueError(
                f"Expected target.horizon of at most target.rul_cap, {self.rul_cap:g}. Received {self.horizon:g}."
            )
        return self


class ProtocolConfig(Section):
    """Which machines train and which test: always whole ones."""

    test_share: float = Field(
        0.25, gt=0, lt=0.9, description="share of the machines held out, where the table gives no division"
    )
    num_folds: int = Field(
        5,
        ge=2,
        le=50,
        description="parts of the training machines; each is forecast by a network that has not seen it, "
        "for intervals, probabilities and costs",
    )
    coverage: float = Field(0.9, ge=0.5, le=0.99, description="share of true lives that intervals shall hold")


class ModelConfig(Section):
    """The networks."""

    channels: int = Field(32, ge=4, le=1024, description="channels of the convolutions")
    kernel_size: int = Field(9, ge=1, le=51, description="readings that the first convolution sees at once")
    hidden_size: int = Field(32, ge=4, le=1024, description="units of the LSTM")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of hidden units silenced in training")
    reading_noise: float = Field(
        0.5, ge=0, le=10, description="noise added to every scaled reading in training, deviations"
    )
    offset_noise: float = Field(
        0.3, ge=0, le=10, description="noise added to a whole window of a sensor in training: machines differ"
    )
    num_members: int = Field(
        2, ge=1, le=50, description="networks from different seeds; their mean is served"
    )
    code_size: int = Field(
        8, ge=1, le=1024, description="numbers through which the LSTM autoencoder passes a window"
    )


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`."""

    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training windows at least")
    min_steps: int = Field(400, ge=1, le=10_000_000, description="optimiser steps at least, for small fleets")
    batch_size: int = Field(256, ge=8, le=1_000_000, description="windows a step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-3, ge=0, le=10, description="decoupled weight decay (AdamW)")
    interval_weight: float = Field(
        0.1, ge=0, le=100, description="weight of the loss of the interval's two ends"
    )
    horizon_weight: float = Field(
        0.1, ge=0, le=100, description="weight of the loss of failing within the horizon"
    )
    autoencoder_epochs: int = Field(
        10, ge=1, le=100_000, description="passes over the healthy windows at least, autoencoder"
    )
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class EvaluationConfig(Section):
    """What is measured and against what."""

    num_bootstraps: int = Field(
        1000, ge=50, le=100_000, description="resamples of machines behind each interval"
    )
    boosting_rounds: int = Field(300, ge=10, le=10_000, description="trees of gradient boosting")


class DecisionConfig(Section):
    """What a planner weighs."""

    cost_failure: float = Field(
        10.0, gt=0, le=1e12, description="cost of a failure in operation, in any currency"
    )
    cost_service: float = Field(1.0, gt=0, le=1e12, description="cost of one planned service, same currency")
    lead_time: float = Field(
        5.0,
        ge=0,
        le=1e8,
        description="time from the order of a service to the service, the machine runs on; time unit",
    )


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(
        40, ge=20, le=100_000, description="test windows on which explanations are checked"
    )
    num_steps: int = Field(64, ge=8, le=10_000, description="steps of the integrated gradients")
    num_sensors: int = Field(5, ge=1, le=50, description="driving sensors that are given at most")


class MaintenanceConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of generator, division, initial weights and resampling"
    )
    data: DataConfig = DataConfig()
    features: FeatureConfig = FeatureConfig()
    target: TargetConfig = TargetConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    decision: DecisionConfig = DecisionConfig()
    explanation: ExplanationConfig = ExplanationConfig()


def tiny() -> MaintenanceConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return MaintenanceConfig(
        preset="tiny",
        data=DataConfig(num_units=40, num_sensors=8, num_regimes=2, max_life=200),
        features=FeatureConfig(window_length=24),
        protocol=ProtocolConfig(num_folds=2),
        model=ModelConfig(channels=8, hidden_size=8, num_members=1, code_size=4),
        training=TrainingConfig(epochs=1, min_steps=30, autoencoder_epochs=1),
        evaluation=EvaluationConfig(num_bootstraps=100, boosting_rounds=30),
        explanation=ExplanationConfig(num_checked=20, num_steps=32),
    )


def quick() -> MaintenanceConfig:
    """Under a minute on two CPU cores; the default."""
    return MaintenanceConfig(
        data=DataConfig(num_units=100),
        features=FeatureConfig(window_length=32),
        protocol=ProtocolConfig(num_folds=2),
        training=TrainingConfig(epochs=4, min_steps=250, autoencoder_epochs=4),
        evaluation=EvaluationConfig(num_bootstraps=500),
    )


def full() -> MaintenanceConfig:
    """The real thing: ten networks, five folds."""
    return MaintenanceConfig(
        preset="full",
        data=DataConfig(num_units=300, num_sensors=21, num_regimes=6),
        model=ModelConfig(num_members=10),
        evaluation=EvaluationConfig(num_bootstraps=2000),
        explanation=ExplanationConfig(num_checked=200),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
