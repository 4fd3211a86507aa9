"""Every knob of fraud detection, with its unit and its reason; presets are functions."""

from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from shared.orchestration.overrides import Section

_Units = Annotated[int, Field(ge=1, le=10_000)]
_Days = Annotated[int, Field(ge=1, le=3650)]


class DataConfig(Section):
    """Where transactions come from."""

    num_customers: int = Field(1000, ge=50, le=1_000_000, description="customers that the generator makes")
    num_terminals: int = Field(2000, ge=20, le=2_000_000, description="terminals that the generator makes")
    num_days: int = Field(120, ge=70, le=3650, description="days that the generator simulates")
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own table, for example customer_id: card"
    )
    categories: tuple[str, ...] = Field(
        (),
        description="further columns of a user's own table that are known when a transaction comes in; features say "
        "how usual a value is for the customer and, with labels, how often it was fraud",
    )
    time_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of a time given as a number")

    @field_validator("categories")
    @classmethod
    def _distinct(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(categories)) < len(categories):
            raise ValueError(f"Expected distinct columns. Received {', '.join(categories)}.")
        return categories


class FeatureConfig(Section):
    """What is known of a transaction when it comes in."""

    windows_days: tuple[_Days, ...] = Field(
        (1, 7, 30), min_length=1, description="lengths of the windows, days"
    )
    label_delay_days: int = Field(
        7,
        ge=0,
        le=3650,
        description="days until a fraud is known, where the table gives no time of the label",
    )
    night_hours: tuple[int, int] = Field(
        (0, 6), description="first and last hour that count as night, local time"
    )
    time_zone: str = Field("UTC", description="IANA time zone that night and weekend go by")

    @field_validator("windows_days")
    @classmethod
    def _ascending(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        if list(windows) != sorted(set(windows)):
            raise ValueError(f"Expected distinct windows, shortest first. Received {windows}.")
        return windows

    @field_validator("night_hours")
    @classmethod
    def _of_the_day(cls, hours: tuple[int, int]) -> tuple[int, int]:
        if not all(0 <= hour <= 23 for hour in hours):
            raise ValueError(f"Expected hours from 0 to 23. Received {hours}.")
        return hours

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"Expected an IANA time zone such as Europe/Brussels. Received {name!r}."
            ) from error
        return name


class ProtocolConfig(Section):
    """Which days train and which test: train, wait for the labels, test; then everything moves on."""

    train_days: _Days = Field(7, description="days of training transactions")
    test_days: _Days = Field(7, description="days of a test fold")
    num_folds: int = Field(
        4, ge=1, le=1000, description="prequential test folds, each test_days after the one before"
    )
    first_train_day: date | None = Field(
        None,
        ge=date(1970, 1, 1),
        lt=date(2100, 1, 1),
        description="first day of the first fold's training; None: the last fold ends with the data",
    )


class ModelConfig(Section):
    """The networks."""

    kind: Literal["plain", "denoising", "variational"] = Field(
        "variational",
        description="plain; denoising: some inputs are swapped with other rows; variational: a noisy code",
    )
    hidden_sizes: tuple[_Units, ...] = Field(
        (64,), description="width of the hidden layers on both sides, units"
    )
    code_size: int = Field(5, ge=1, description="numbers through which everything passes; below the features")
    sequence_length: int = Field(
        1,
        ge=1,
        le=64,
        description="transactions of a customer, the newest included, that a further autoencoder reads; it is "
        "evaluated, not served; 1: there is none",
    )
    num_members: int = Field(4, ge=1, le=64, description="networks trained as one batch and averaged")
    noise: float = Field(0.1, gt=0, lt=1, description="share of inputs swapped, denoising only")
    kl_weight: float = Field(0.01, ge=0, description="weight of the divergence of the code, variational only")
    training_limit: float = Field(
        10.0, ge=1, description="scaled inputs are cut to +- this in training: single rows must not steer it"
    )
    scoring_limit: float = Field(
        50.0, ge=1, description="... and to +- this in scoring, where what is far out must stand out"
    )
    head_hidden_sizes: tuple[_Units, ...] = Field((128,), description="hidden layers of the head, units")
    head_dropout: float = Field(0.2, ge=0, lt=1, description="share of the head's hidden units silenced")
    use_head: bool = Field(True, description="train the supervised head and serve it where there are labels")


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`. Epochs are counted on the validation fold, then trained anew."""

    epochs: int = Field(15, ge=1, description="passes over the training rows at most, autoencoder")
    batch_size: int = Field(512, ge=8, description="rows a step, at most a hundredth of the training rows")
    learning_rate: float = Field(2e-3, gt=0, description="autoencoder")
    patience: int = Field(3, ge=1, description="epochs without a better validation loss, autoencoder")
    head_epochs: int = Field(40, ge=1, description="passes over the training rows at most, head")
    head_learning_rate: float = Field(1e-3, gt=0, description="head")
    head_weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay (AdamW), head")
    head_patience: int = Field(5, ge=1, description="epochs without a better validation log loss, head")
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class EvaluationConfig(Section):
    """What is measured and against what."""

    num_bootstraps: int = Field(1000, ge=50, description="resamples of days behind each interval")
    num_trees: int = Field(100, ge=10, description="trees of the isolation forest")
    boosting_rounds: int = Field(300, ge=10, description="trees of gradient boosting")


class DecisionConfig(Section):
    """Which transactions analysts look at."""

    alerts_per_day: int = Field(100, ge=1, description="alerts that the analysts can look at on a day")
    cost_per_alert: float = Field(
        5.0, ge=0, description="cost of looking at one alert, currency of the table"
    )
    lost_share: float = Field(1.0, gt=0, le=1, description="share of the amount that a missed fraud costs")


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(60, ge=20, description="test transactions on which explanations are checked")
    num_background: int = Field(20, ge=10, description="genuine transactions that stand for the usual")
    num_orders: int = Field(
        6,
        ge=1,
        description="random orders, each also backwards, in which features go from usual to what they are",
    )
    num_planted: int = Field(10, ge=5, description="planted anomalies for each feature")
    num_features: int = Field(3, ge=1, le=8, description="contributing and offsetting features given at most")


class FraudConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(0, ge=0, lt=2**31, description="seed of generator, initial weights and resampling")
    data: DataConfig = DataConfig()
    features: FeatureConfig = FeatureConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    decision: DecisionConfig = DecisionConfig()
    explanation: ExplanationConfig = ExplanationConfig()


def tiny() -> FraudConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return FraudConfig(
        preset="tiny",
        data=DataConfig(num_customers=400, num_terminals=800, num_days=75),
        protocol=ProtocolConfig(num_folds=2),
        model=ModelConfig(hidden_sizes=(16,), num_members=2, head_hidden_sizes=(16,)),
        training=TrainingConfig(epochs=3, batch_size=256, head_epochs=4),
        evaluation=EvaluationConfig(num_bootstraps=100, num_trees=20, boosting_rounds=30),
        decision=DecisionConfig(alerts_per_day=20),
        explanation=ExplanationConfig(num_checked=40, num_background=20, num_planted=10),
    )


def quick() -> FraudConfig:
    """Under a minute on two CPU cores; the default. Half of the folds, because all networks are fitted for each."""
    return FraudConfig(protocol=ProtocolConfig(num_folds=2))


def full() -> FraudConfig:
    """The real thing: the size of the Handbook's table, larger ensembles, more checks."""
    return FraudConfig(
        preset="full",
        data=DataConfig(num_customers=5000, num_terminals=10_000, num_days=183),
        model=ModelConfig(num_members=16),
        evaluation=EvaluationConfig(num_bootstraps=2000, num_trees=300),
        explanation=ExplanationConfig(num_checked=500, num_planted=100),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
