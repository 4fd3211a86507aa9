"""Every knob of the recommender, with its unit and its reason; presets are functions."""

from typing import Annotated, Literal

from pydantic import Field

from shared.orchestration.overrides import Section

Kind = Literal[
    "popularity", "item_knn", "ease", "ials", "mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid"
]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
NEURAL: tuple[Kind, ...] = ("gmf", "mlp", "neumf_scratch", "neumf", "hybrid")


class DataConfig(Section):
    """Where interactions come from and which of them count."""

    num_users: int = Field(1200, ge=50, le=10_000_000, description="users that the generator makes")
    num_items: int = Field(800, ge=50, le=1_000_000, description="items that the generator makes")
    columns: dict[str, str] | None = Field(
        None, description="contract name -> column of a user's own table, for example user_id: customer"
    )
    items: str | None = Field(None, description="path of a table of item attributes with a column item_id")
    users: str | None = Field(None, description="path of a table of user attributes with a column user_id")
    time_unit: Literal["s", "ms", "us", "ns"] = Field(
        "s", description="unit of a timestamp given as a number"
    )
    min_rating: float | None = Field(
        None, description="implicit threshold: only interactions rated at least so high count; None: all"
    )
    min_user_interactions: int = Field(1, ge=1, description="k-core: users with fewer are left out")
    min_item_interactions: int = Field(1, ge=1, description="k-core: items with fewer are left out")


class ProtocolConfig(Section):
    """How interactions are divided."""

    split: Literal["auto", "leave_last_out", "global_time", "leave_one_out", "given"] = Field(
        "auto",
        description="auto: the given parts, else leave_last_out with timestamps, else leave_one_out by hash",
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=0.5, description="global_time and given: share of the interactions to tune on"
    )
    test_fraction: float = Field(
        0.1, gt=0, lt=0.5, description="global_time: share of the interactions to test on"
    )


class LinearConfig(Section):
    """The alternatives without a network. Every tuple is a grid that the validation part chooses from."""

    ease_regularisation: tuple[Positive, ...] = Field(
        (100.0, 300.0, 1000.0), min_length=1, description="L2 on item weights"
    )
    ease_max_items: int = Field(
        12_000, ge=10, description="larger catalogues get no EASE: its matrix is items x items, twice"
    )
    knn_neighbours: tuple[Count, ...] = Field(
        (50, 200), min_length=1, description="most similar items kept for each item"
    )
    knn_target_exponent: tuple[NotNegative, ...] = Field(
        (0.0, 0.25, 0.5),
        min_length=1,
        description="how far popular items are discounted; 0.5: cosine",
    )
    knn_user_exponent: tuple[NotNegative, ...] = Field(
        (0.0, 0.5, 1.0),
        min_length=1,
        description="how far common users who had much are discounted; 1: random walk",
    )
    ials_factors: int = Field(64, ge=2, le=512, description="latent factors")
    ials_regularisation: tuple[Positive, ...] = Field(
        (0.001, 0.005), min_length=1, description="L2, scaled by frequency"
    )
    ials_unobserved_weight: tuple[Positive, ...] = Field(
        (0.02, 0.1, 0.5), min_length=1, description="weight of what was not seen"
    )
    ials_sweeps: int = Field(10, ge=1, description="alternations between users and items")


class NetworkConfig(Section):
    """The networks (He et al. 2017) and the matrix factorisation that is trained like them."""

    mf_factors: int = Field(64, ge=1, le=1024, description="latent factors of the matrix factorisation")
    gmf_factors: int = Field(16, ge=1, le=512, description="factors of the generalised matrix factorisation")
    tower: tuple[Count, ...] = Field(
        (64, 32, 16), min_length=2, description="widths of the MLP, from both embeddings side by side up"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden units silenced in training")
    init_std: float = Field(0.05, gt=0, description="standard deviation of initial embeddings")
    pretrained_share: float = Field(
        0.5, ge=0, le=1, description="weight of GMF against MLP in the last layer of a pre-trained NeuMF"
    )
    id_dropout: float = Field(
        0.2, ge=0, lt=1, description="hybrid: share of pairs that see an item by its attributes alone"
    )


class TrainingConfig(Section):
    """Optimisation of the networks; passed to `shared.training`."""

    epochs: int = Field(20, ge=1, description="passes over the positives at most")
    batch_size: int = Field(2048, ge=8, description="samples a step, positives and negatives together")
    learning_rate: float = Field(5e-3, gt=0, description="of Adam")
    weight_decay: tuple[NotNegative, ...] = Field(
        (0.1,), min_length=1, description="grid: decoupled decay of embeddings and tower"
    )
    num_negatives: int = Field(
        4, ge=1, le=256, description="unseen items drawn for each positive, anew each epoch"
    )
    mf_weight_decay: tuple[NotNegative, ...] = Field(
        (0.1,), min_length=1, description="grid for the matrix factorisation"
    )
    mf_num_negatives: int = Field(
        8, ge=1, le=256, description="as num_negatives, for the matrix factorisation"
    )
    patience: int | None = Field(3, ge=1, description="epochs without a better validation NDCG@20")
    checkpoint_every_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints, from which a killed run continues"
    )


class EvaluationConfig(Section):
    """The protocol's numbers."""

    num_bootstraps: int = Field(1000, ge=50, description="resamples of users behind each interval")
    validation_users: int = Field(
        5000, ge=10, description="users at most that epochs and grids are judged by"
    )
    num_sampled_negatives: int = Field(99, ge=1, description="of the paper's metric")
    tail_share: float = Field(
        0.2, gt=0, lt=1, description="share of interactions that makes up the long tail"
    )
    memory_mb: int = Field(
        256, ge=8, description="scratch memory of ranking, MB; users x items is never held"
    )


class ExplanationConfig(Section):
    """What is explained and how it is checked."""

    num_checked: int = Field(
        200, ge=10, description="test users on whose first item explanations are checked"
    )
    num_reasons: int = Field(2, ge=1, le=5, description="items of the history named in a reason")
    integration_steps: int = Field(16, ge=4, description="points on the path of integrated gradients")


class ServingConfig(Section):
    """What is published and recommended."""

    model: Literal["auto"] | Kind = Field("auto", description="auto: the best of all on the validation part")
    top_n: int = Field(10, ge=1, le=1000, description="items recommended to each user")
    fold_in_steps: int = Field(60, ge=1, description="optimiser steps that find the vector of a new user")


class RecommenderConfig(Section):
    """The whole pipeline. `seed` decides every random choice."""

    preset: str = "quick"
    seed: int = Field(
        0, ge=0, description="seed of generator, split, initial weights, negatives and resampling"
    )
    models: tuple[Kind, ...] = Field(
        ("popularity", "item_knn", "ease", "ials", "mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid"),
        min_length=1,
        description="what is trained and compared; popularity is always there, hybrid needs attributes",
    )
    data: DataConfig = DataConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    linear: LinearConfig = LinearConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanation: ExplanationConfig = ExplanationConfig()
    serving: ServingConfig = ServingConfig()


def tiny() -> RecommenderConfig:
    """Seconds: for tests. Everything runs, nothing is estimated well."""
    return RecommenderConfig(
        preset="tiny",
        data=DataConfig(num_users=150, num_items=120),
        linear=LinearConfig(
            ease_regularisation=(100.0,),
            knn_neighbours=(50,),
            knn_target_exponent=(0.25,),
            knn_user_exponent=(0.5,),
            ials_factors=8,
            ials_regularisation=(0.01,),
            ials_unobserved_weight=(0.3,),
            ials_sweeps=4,
        ),
        network=NetworkConfig(mf_factors=8, gmf_factors=4, tower=(16, 8)),
        training=TrainingConfig(epochs=4, batch_size=512, mf_weight_decay=(0.01,)),
        evaluation=EvaluationConfig(num_bootstraps=100),
        explanation=ExplanationConfig(num_checked=20),
    )


def quick() -> RecommenderConfig:
    """Under a minute on two CPU cores on generator data; the default."""
    return RecommenderConfig()


def full() -> RecommenderConfig:
    """The real thing: larger factors, wider grids, more epochs."""
    return RecommenderConfig(
        preset="full",
        data=DataConfig(num_users=10_000, num_items=3000),
        linear=LinearConfig(
            ease_regularisation=(50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0),
            knn_neighbours=(20, 50, 100, 200, 500),
            ials_factors=256,
            ials_regularisation=(0.001, 0.003, 0.01),
            ials_unobserved_weight=(0.01, 0.03, 0.1, 0.5),
            ials_sweeps=14,
        ),
        network=NetworkConfig(mf_factors=128, gmf_factors=64, tower=(128, 64, 32, 16)),
        training=TrainingConfig(
            epochs=60,
            patience=5,
            batch_size=16_384,
            weight_decay=(0.0, 0.03, 0.1),
            mf_weight_decay=(0.01, 0.03, 0.1, 0.3),
        ),
        evaluation=EvaluationConfig(num_bootstraps=2000),
        explanation=ExplanationConfig(num_checked=500),
    )


PRESETS = {"tiny": tiny, "quick": quick, "full": full}
