"""Every knob of ECG anomaly detection, with its unit and its reason; presets are functions."""

from typing import Literal, Self

from pydantic import Field, model_validator

from shared.orchestration.overrides import Section


class DataConfig(Section):
    """Where recordings come from."""

    num_patients: int = Field(20, ge=2, le=1000, description="patients that the generator makes")
    minutes: float = Field(5.0, ge=0.5, le=1440, description="length of each generated recording, minutes")
    subset: Literal["ds1", "ds2", "all"] = Field(
        "ds1",
        description="records of the MIT-BIH set, as de Chazal et al. (2004) divided them; all: DS1 trains, DS2 tests",
    )
    lead: str = Field(
        "MLII", min_length=1, max_length=50, description="lead to read; the first one of records that lack it"
    )
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own manifest, for example patient: subject"
    )


class SignalConfig(Section):
    """From the recorder's samples to the signal that everything else sees."""

    rate_hz: int = Field(
        360,
        ge=100,
        le=1000,
        description="common sampling rate, Hz. 360 is that of MIT-BIH, and 256 samples of it are one beat (0.71 s)",
    )
    low_hz: float = Field(0.5, gt=0, le=5, description="below is baseline wander, Hz")
    high_hz: float = Field(40.0, ge=15, description="above is muscle noise, Hz")
    mains_hz: Literal[50, 60] | None = Field(
        None, description="mains frequency to take out, Hz; needed only when high_hz lies above it"
    )
    half_length_s: float = Field(
        1.0,
        ge=0.25,
        le=5,
        description="reach of the filter to each side, and so the delay of a stream, s; longer filters are sharper",
    )
    polarity: Literal["as_given", "upright"] = Field(
        "as_given", description="upright turns a lead over when most beats of its first minute point down"
    )
    min_seconds: float = Field(10.0, ge=5, description="shortest recording that is judged, s")
    max_unusable_share: float = Field(
        0.5, ge=0, lt=1, description="recordings with more flat, saturated or missing samples are refused"
    )
    min_quality: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="recordings of a lower median quality of their beats are refused; white noise has 0.16, the "
        "worst of DS1 0.84",
    )

    @model_validator(mode="after")
    def _below_nyquist(self) -> Self:
        if self.high_hz * 2 >= self.rate_hz:
            raise ValueError(
                f"Expected high_hz below half of rate_hz ({self.rate_hz} Hz). Received {self.high_hz}."
            )
        return self


class BeatConfig(Section):
    """What a beat is."""

    peaks: Literal["annotated", "detected"] = Field(
        "annotated",
        description="where R peaks come from in training and evaluation; recordings without annotations, and all "
        "scoring, use the detector",
    )
    num_samples: int = Field(
        256, ge=64, le=1024, multiple_of=16, description="samples of a beat at the common rate"
    )
    before_ms: float = Field(
        250.0, ge=50, le=1000, description="of them before the R peak, ms: the P wave begins 0.2 s before"
    )
    align_ms: float = Field(
        50.0,
        ge=0,
        le=100,
        description="R peaks move to the largest deflection this near, ms; 50 raised PCA on DS1 from V 0.79 to 0.83",
    )
    num_local_beats: int = Field(
        40,
        ge=3,
        le=500,
        description="earlier beats whose median RR interval says whether a beat is early; on DS1 20 gave S 0.861, "
        "40 gave 0.899",
    )
    num_usual_beats: int = Field(
        50,
        ge=5,
        le=1000,
        description="earlier beats whose median is the usual beat of the patient, and which say how steady it is",
    )
    usual_every: int = Field(
        10,
        ge=1,
        le=1000,
        description="beats after which the usual beat is made anew; the first so many wait for each other",
    )


class ProtocolConfig(Section):
    """How training and test are kept apart, and what is learnt from."""

    num_folds: int = Field(5, ge=2, le=50, description="folds of whole patients")
    calibration_folds: int = Field(
        3,
        ge=2,
        le=50,
        description="parts of the training patients; each is scored by a network that has not seen it, and those "
        "scores fix the threshold",
    )
    min_quality: float = Field(
        0.5, ge=0, le=1, description="signal quality of the normal beats that are learnt from, at least"
    )


class ModelConfig(Section):
    """The autoencoder."""

    kind: Literal["convolutional", "variational", "lstm"] = Field(
        "lstm",
        description="kind of autoencoder; on DS1 AUROC 0.955 to 0.956, convolutional 0.949, variational 0.951",
    )
    channels: int = Field(
        8, ge=2, le=512, description="channels of the first layer; the others have twice as many"
    )
    code_size: int = Field(
        4, ge=1, le=256, description="numbers that carry how a beat differs from the usual one"
    )
    code_noise: float = Field(0.1, ge=0, le=10, description="noise added to the code in training")
    kl_weight: float = Field(
        1e-3,
        ge=0,
        le=10,
        description="variational: weight of the divergence of the code, per sample of a beat",
    )


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`."""

    epochs: int = Field(5, ge=1, le=100_000, description="passes over the normal beats at least")
    min_steps: int = Field(300, ge=1, le=10_000_000, description="optimiser steps at least, for few beats")
    batch_size: int = Field(256, ge=8, le=1_000_000, description="beats a step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-3, ge=0, le=10, description="decoupled weight decay (AdamW)")
    head_epochs: int = Field(15, ge=1, le=100_000, description="passes over all beats, classifier")
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class ThresholdConfig(Section):
    """When a beat is flagged."""

    rule: Literal["conformal", "three_deviations"] = Field(
        "conformal",
        description="conformal: the promised share of normal beats of unseen patients; three_deviations: the "
        "textbook's mean + 3 standard deviations of their scores, which promises nothing",
    )
    false_alarms: float = Field(
        0.01, gt=0, lt=0.5, description="share of normal beats that may be flagged, conformal"
    )
    adapt_minutes: float = Field(
        0.0,
        ge=0,
        le=60,
        description="first minutes of a recording that say how its patient usually scores; 0: one threshold for all",
    )


class EvaluationConfig(Section):
    """What is measured and against what."""

    num_bootstraps: int = Field(
        1000, ge=50, le=100_000, description="resamples of patients behind each interval"
    )
    num_components: int = Field(16, ge=1, le=256, description="components of the PCA baseline")
    num_neighbours: int = Field(
        5, ge=1, le=100, description="neighbours of the k-nearest-neighbours baseline"
    )


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(
        40, ge=20, le=100_000, description="test beats on which explanations are checked"
    )
    num_steps: int = Field(64, ge=8, le=10_000, description="steps of the integrated gradients")


class EcgConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of generator, division, initial weights and resampling"
    )
    data: DataConfig = DataConfig()
    signal: SignalConfig = SignalConfig()
    beats: BeatConfig = BeatConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    threshold: ThresholdConfig = ThresholdConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanation: ExplanationConfig = ExplanationConfig()


def tiny() -> EcgConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return EcgConfig(
        preset="tiny",
        data=DataConfig(num_patients=8, minutes=1.5),
        protocol=ProtocolConfig(num_folds=2, calibration_folds=2),
        model=ModelConfig(channels=4),
        training=TrainingConfig(epochs=1, min_steps=15, head_epochs=1),
        evaluation=EvaluationConfig(num_bootstraps=100),
        explanation=ExplanationConfig(num_checked=20, num_steps=16),
    )


def quick() -> EcgConfig:
    """Under a minute on two CPU cores; the default."""
    return EcgConfig(
        protocol=ProtocolConfig(num_folds=2, calibration_folds=2),
        training=TrainingConfig(epochs=2, min_steps=120, head_epochs=5),
        evaluation=EvaluationConfig(num_bootstraps=500),
    )


def full() -> EcgConfig:
    """The real thing: five folds, and more to learn from."""
    return EcgConfig(
        preset="full",
        data=DataConfig(num_patients=60, minutes=15),
        evaluation=EvaluationConfig(num_bootstraps=2000),
        explanation=ExplanationConfig(num_checked=200),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
