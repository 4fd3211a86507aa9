"""How the tests run each pipeline in seconds."""

from dataclasses import dataclass


def settings(*changes: str) -> tuple[str, ...]:
    """`key=value` as options of the command."""
    return tuple(part for change in changes for part in ("--set", change))


def epochs(number: int) -> tuple[str, ...]:
    """Options for so many epochs, with checkpoints in between."""
    return settings(f"training.epochs={number}", "training.checkpoint_every_seconds=0.2")


@dataclass(frozen=True)
class Commands:
    """How the tests run one pipeline.

    little_evidence: options with which everything runs and the evidence is small, for tests that are not about it.
    long: options with which training takes seconds, and saves its state long before the end.
    """

    pipeline: str
    contract: str
    little_evidence: tuple[str, ...]
    long: tuple[str, ...]

    @property
    def tiny(self) -> tuple[str, ...]:
        """The command that most tests run."""
        return ("run", self.pipeline, "--preset", "tiny")

    @property
    def interruptible(self) -> tuple[str, ...]:
        """Seconds of training, with a checkpoint long before the end."""
        return (*self.tiny, *self.little_evidence, *self.long, "--json", "-")


CREDIT_SCORING = Commands(
    "credit_scoring",
    "credit_applications",
    settings(
        "evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.stability_seeds=0",
        "explanation.num_recourse=0",
    ),
    long=epochs(150),
)  # fmt: skip
# One network, which is published: its weights and epochs are those that a test can look at.
RECOMMENDER = Commands(
    "recommender",
    "interactions",
    settings(
        "evaluation.num_bootstraps=50", "explanation.num_checked=10", "models=[popularity, gmf]",
        "serving.model=gmf", "training.patience=null",
    ),
    long=epochs(50),
)  # fmt: skip

# Four networks one after the other, each with its own checkpoints.
FRAUD_DETECTION = Commands(
    "fraud_detection",
    "card_transactions",
    settings(
        "protocol.num_folds=1", "evaluation.num_bootstraps=50", "evaluation.num_trees=10",
        "evaluation.boosting_rounds=10", "explanation.num_checked=20", "explanation.num_background=10",
        "explanation.num_orders=1", "training.patience=1000",
    ),
    long=epochs(10),
)  # fmt: skip
# One network for each fold, those that are served, the autoencoder.
PREDICTIVE_MAINTENANCE = Commands(
    "predictive_maintenance",
    "machine_sensor_readings",
    settings(
        "evaluation.num_bootstraps=50", "evaluation.boosting_rounds=10", "explanation.num_checked=20",
        "explanation.num_steps=8",
    ),
    long=epochs(10),
)  # fmt: skip
# For each fold and for what is served one network, and those behind its threshold.
ECG_ANOMALY = Commands(
    "ecg_anomaly",
    "ecg_records",
    settings("evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.num_steps=8"),
    long=epochs(6),
)
# A U-Net for each fold, and the one that is served.
MEDICAL_SEGMENTATION = Commands(
    "medical_segmentation",
    "image_studies",
    settings("evaluation.num_bootstraps=50"),
    long=epochs(16),
)
# One network, and what its posts need to be judged.
SOCIAL_SENTIMENT = Commands(
    "social_sentiment",
    "social_posts",
    settings(
        "evaluation.num_bootstraps=50", "evaluation.baselines=[majority]", "explanation.num_checked=20",
        "explanation.num_steps=8",
    ),
    long=epochs(15),
)  # fmt: skip
# Two networks side by side, and the rules of its environment.
DQN_AGENT = Commands(
    "dqn_agent",
    "environment_card",
    settings("evaluation.num_episodes=2", "explanation.num_checked=20", "explanation.film_steps=10"),
    long=settings("learning.steps=5000", "learning.checkpoint_every_seconds=0.2"),
)
COMMANDS = {
    commands.pipeline: commands
    for commands in (
        CREDIT_SCORING,
        RECOMMENDER,
        FRAUD_DETECTION,
        PREDICTIVE_MAINTENANCE,
        ECG_ANOMALY,
        MEDICAL_SEGMENTATION,
        SOCIAL_SENTIMENT,
        DQN_AGENT,
    )
}
