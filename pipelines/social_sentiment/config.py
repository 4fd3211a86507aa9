"""Every knob of social-media sentiment, with its unit and its reason."""

from typing import Literal

from pydantic import Field, field_validator

from shared.data.moments import TimeUnit
from shared.orchestration.overrides import Section


class DataConfig(Section):
    """Where posts come from."""

    num_posts: int = Field(4000, ge=200, le=1_000_000, description="posts that the generator makes")
    num_days: int = Field(60, ge=10, le=3650, description="days over which the generator spreads them")
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own table, for example text: message"
    )
    labels: tuple[str, ...] | None = Field(
        None,
        description="names of the labels in their order; None: negative, neutral, positive where the table has any of "
        "them, else the values that are there",
    )
    label_names: dict[str, str] | None = Field(
        None, description="value in a user's own table -> name of the label, for example 4: positive"
    )
    time_unit: TimeUnit = Field("s", description="unit of a time given as a number")
    test_set: Literal["tweeteval", "none"] = Field(
        "tweeteval",
        description="what semeval2017 is tested on: the TweetEval split where it is there, or a part of its own",
    )
    subset: Literal["train", "val", "test"] = Field(
        "val", description="split of a TweetEval task that tests; of train alone a part is cut off for it"
    )
    weak_labels: Literal["none", "emoji"] = Field(
        "none", description="emoji: posts without a label train with the one that their emoji stand for"
    )

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is not None and (len(set(labels)) < len(labels) or len(labels) < 2 or not all(labels)):
            raise ValueError(f"Expected two distinct labels or more. Received {', '.join(labels) or 'none'}.")
        return labels


class TextConfig(Section):
    """What a post looks like to a model."""

    style: Literal["fieldwork", "tweeteval"] = Field(
        "fieldwork",
        description="how users and links are written: [USER] and [URL], or @user and http as encoders from the hub "
        "that were trained on tweets expect them",
    )
    max_repeats: int = Field(
        3,
        ge=2,
        le=10,
        description="a character repeated more often than this is shortened to it; digits never are",
    )


class ProtocolConfig(Section):
    """How training, calibration and test are kept apart."""

    split: Literal["auto", "time", "random"] = Field(
        "auto", description="time: the latest posts test; auto: by time where all posts have one, else random"
    )
    test_share: float = Field(0.2, gt=0, lt=1, description="share of the labelled posts that test")
    calibration_share: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="share of the training posts that calibrate, where none are given for it",
    )
    authors: Literal["auto", "apart", "any"] = Field(
        "auto",
        description="apart: nobody who tests trains; any: people go on posting, as they do when a model is used; auto: "
        "apart, but in a split by time only if half of the training posts are left, and not in a given division",
    )
    near_duplicate: float = Field(
        0.7,
        ge=0.3,
        le=1,
        description="similarity (Jaccard, of runs of characters) from which two posts are the same; 1: exact ones only",
    )


class ModelConfig(Section):
    """The network."""

    encoder: str = Field(
        "own",
        min_length=1,
        max_length=1000,
        description="own: a small transformer learnt from the training posts; minilm: the one that the extra `minilm` "
        "installs; else a folder or a name on the Hugging Face hub",
    )
    vocabulary: int = Field(8000, ge=300, le=100_000, description="own: tokens of its vocabulary, at most")
    width: int = Field(128, ge=8, le=2048, multiple_of=8, description="own: numbers that stand for a token")
    layers: int = Field(2, ge=1, le=24, description="own: layers")
    heads: int = Field(4, ge=1, le=64, description="own: attention heads of each layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of values left out in training")
    max_length: int = Field(128, ge=8, le=512, description="tokens of a post, the rest is cut")


class TrainingConfig(Section):
    """Optimisation; passed to `shared.training`."""

    epochs: int = Field(3, ge=1, le=10_000, description="passes over the training posts")
    tokens_per_batch: int = Field(
        1024,
        ge=16,
        le=4_194_304,
        description="budget of a batch, padding included; 16,384 or more suits a GPU",
    )
    accumulate: int = Field(
        1, ge=1, le=1024, description="batches, so many budgets of tokens, an optimiser step"
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="peak of the schedule; of our own encoder, and of the head alone"
    )
    pretrained_rate: float = Field(1e-4, gt=0, le=1, description="peak of the schedule, pretrained encoders")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="learning rate of a layer as a share of the one above: a pretrained encoder keeps its lower ones",
    )
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled weight decay (AdamW)")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    frozen_epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description="epochs in which a pretrained encoder stays as it is, before all learn",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label that is spread over all")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="bf16 trains encoders twice as fast on CPUs that have it"
    )
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )
    num_seeds: int = Field(
        1, ge=1, le=50, description="networks from other seeds, to show how far luck decides"
    )


class DecisionConfig(Section):
    """From probabilities to what is said of a post, and of all of them."""

    label_by: Literal["recall", "accuracy"] = Field(
        "recall",
        description="recall: the label that is likeliest against its share in training, so that rare ones are found as "
        "often; accuracy: the likeliest",
    )
    abstain_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of posts like the calibration ones that are left to a human, least sure first",
    )
    num_replicates: int = Field(
        200, ge=50, le=10_000, description="resamples of calibration posts behind the intervals of shares"
    )


class EvaluationConfig(Section):
    """What is measured and against what."""

    num_bootstraps: int = Field(
        1000, ge=50, le=100_000, description="resamples of posts behind each interval"
    )
    baselines: tuple[Literal["tfidf", "tfidf_unweighted", "lexicon", "majority"], ...] = Field(
        ("tfidf", "lexicon", "majority"), min_length=1, description="simple models on the same posts"
    )


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(
        200, ge=20, le=100_000, description="test posts on which explanations are checked"
    )
    num_steps: int = Field(
        16, ge=4, le=512, description="steps of integrated gradients, doubled where they do not add up"
    )


class SentimentConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of generator, division, initial weights and resampling"
    )
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    decision: DecisionConfig = DecisionConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanation: ExplanationConfig = ExplanationConfig()


def tiny() -> SentimentConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return SentimentConfig(
        preset="tiny",
        data=DataConfig(num_posts=800),
        model=ModelConfig(vocabulary=600, width=32, layers=1, heads=2, max_length=64),
        training=TrainingConfig(epochs=3, learning_rate=4e-3),
        decision=DecisionConfig(num_replicates=50),
        evaluation=EvaluationConfig(num_bootstraps=100),
        explanation=ExplanationConfig(num_checked=20),
    )


def quick() -> SentimentConfig:
    """Under a minute on two CPU cores; the default."""
    return SentimentConfig(
        model=ModelConfig(vocabulary=2000, width=64),
        training=TrainingConfig(epochs=6, learning_rate=3e-3),
        evaluation=EvaluationConfig(num_bootstraps=500),
    )


def full() -> SentimentConfig:
    """The real thing."""
    return SentimentConfig(
        preset="full",
        data=DataConfig(num_posts=40_000, num_days=180),
        training=TrainingConfig(num_seeds=3),
        evaluation=EvaluationConfig(
            num_bootstraps=2000, baselines=("tfidf", "tfidf_unweighted", "lexicon", "majority")
        ),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
