"""Every knob of the credit-scoring pipeline, with its unit and its reason; presets are functions."""

from typing import Literal

from pydantic import Field, model_validator

from pipelines.credit_scoring.schema import ColumnMap
from shared.orchestration.overrides import Section


class DataConfig(Section):
    """Where applications come from and how they are divided."""

    num_rows: int = Field(6000, ge=200, le=20_000_000, description="applicants that the generator makes")
    columns: ColumnMap | None = Field(None, description="how a user's own table maps to the contract")
    fractions: tuple[float, float, float] = Field(
        (0.6, 0.2, 0.2), description="shares of training, validation and test"
    )


class ModelConfig(Section):
    """The network."""

    kind: Literal["mlp", "additive"] = Field(
        "mlp", description="mlp: all interactions; additive: one sub-network a feature, exactly explainable"
    )
    monotone: bool = Field(False, description="hold the directions that the schema declares (`risk`)")
    hidden_sizes: tuple[int, ...] = Field((64, 64), description="width of each hidden layer, units")
    num_members: int = Field(
        8, ge=1, le=64, description="networks trained as one batch and averaged in log-odds"
    )
    num_bins: int = Field(16, ge=2, le=128, description="pieces of the piecewise-linear encoding of a number")
    min_rows_per_bin: int = Field(40, ge=5, description="a piece holds at least so many training rows")
    min_rows_per_level: int = Field(10, ge=1, description="rarer levels share the input `other`")
    max_levels: int = Field(200, ge=1, description="most frequent levels of a category that get an input")
    dropout: float = Field(0.4, ge=0, lt=1, description="share of hidden units silenced in training")


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`."""

    epochs: int = Field(20, ge=1, description="passes over the training rows")
    batch_size: int = Field(256, ge=8, description="rows a step, at most an eighth of the training rows")
    learning_rate: float = Field(2e-3, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(0.3, ge=0, description="decoupled weight decay (AdamW)")
    patience: int | None = Field(
        None, description="epochs without a better validation log loss; None: all epochs"
    )
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class EvaluationConfig(Section):
    """The protocol."""

    num_bootstraps: int = Field(1000, ge=50, description="resamples behind each interval")
    num_repeats: int = Field(5, ge=0, description="repeats of two-fold cross-validation for small tables")
    repeat_below_rows: int = Field(
        5000,
        description="tables smaller than this get the repeated splits; one test part says too little there",
    )
    baseline_iterations: int = Field(
        150, ge=10, description="boosting rounds of the gradient-boosting baseline"
    )


class DecisionConfig(Section):
    """From a probability to a decision and to points."""

    cost_false_negative: float = Field(
        5.0, gt=0, description="cost of accepting a defaulter, in units of ..."
    )
    cost_false_positive: float = Field(1.0, gt=0, description="... the cost of declining a good applicant")
    review_band: float = Field(
        0.03, ge=0, le=0.5, description="half-width of the human-review band, probability"
    )
    base_points: float = Field(600.0, description="points at the base odds")
    base_odds: float = Field(50.0, gt=0, description="good:bad odds that earn the base points")
    points_to_double_odds: float = Field(20.0, gt=0, description="points that double the good:bad odds (PDO)")

    @model_validator(mode="after")
    def _someone_can_be_approved(self) -> "DecisionConfig":
        cut_off = self.cost_false_positive / (self.cost_false_positive + self.cost_false_negative)
        if not self.review_band < min(cut_off, 1.0 - cut_off):
            raise ValueError(
                f"Expected a review band narrower than the cut-off {cut_off:.3f} that follows from the costs. "
                f"Received {self.review_band:g}: nobody could be approved or declined without review"
            )
        return self


class ExplanationConfig(Section):
    """What is explained, against whom, and how it is checked."""

    reference: Literal["applicants", "approved"] = Field(
        "applicants",
        description="whom an applicant is compared with: all training applicants, or approved ones",
    )
    num_background: int = Field(100, ge=10, description="reference rows")
    num_checked: int = Field(300, ge=20, description="test rows on which the explanations are checked")
    num_reasons: int = Field(4, ge=1, le=4, description="adverse reasons given at most")
    min_reason_log_odds: float = Field(0.05, ge=0, description="smaller contributions are no reason")
    stability_seeds: int = Field(2, ge=0, description="retrained models behind the flip rate of reasons")
    num_recourse: int = Field(100, ge=0, description="declined test applicants for whom recourse is searched")


class CreditConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(0, ge=0, description="seed of generator, split, initial weights and resampling")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    decision: DecisionConfig = DecisionConfig()
    explanation: ExplanationConfig = ExplanationConfig()


def tiny() -> CreditConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return CreditConfig(
        preset="tiny",
        data=DataConfig(num_rows=600),
        model=ModelConfig(hidden_sizes=(16,), num_members=2, num_bins=6),
        training=TrainingConfig(epochs=12, batch_size=64),
        evaluation=EvaluationConfig(num_bootstraps=100, num_repeats=0, baseline_iterations=30),
        explanation=ExplanationConfig(num_background=30, num_checked=60, stability_seeds=1, num_recourse=10),
    )


def quick() -> CreditConfig:
    """Under a minute on two CPU cores; the default."""
    return CreditConfig()


def full() -> CreditConfig:
    """The real thing: larger ensemble, more applicants, more resamples, more retrained models."""
    return CreditConfig(
        preset="full",
        data=DataConfig(num_rows=50_000),
        model=ModelConfig(num_members=16),
        training=TrainingConfig(epochs=30),
        evaluation=EvaluationConfig(num_bootstraps=2000, num_repeats=10, baseline_iterations=300),
        explanation=ExplanationConfig(num_checked=1000, stability_seeds=5, num_recourse=500),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
