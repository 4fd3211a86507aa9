"""How the tests run each pipeline in seconds."""

from dataclasses import dataclass


def settings(*changes: str) -> tuple[str, ...]:
    """`key=value` as options of the command."""
    return tuple(part for change in changes for part in ("--set", change))


@dataclass(frozen=True)
class Commands:
    """How the tests run one pipeline.

    little_evidence: options with which everything runs and the evidence is small, for tests that are not about it.
    save_always: options with which training saves its state as often as it can.
    """

    pipeline: str
    contract: str
    little_evidence: tuple[str, ...]
    save_always: tuple[str, ...] = settings("training.checkpoint_every_seconds=0")

    @property
    def tiny(self) -> tuple[str, ...]:
        """The command that most tests run."""
        return ("run", self.pipeline, "--preset", "tiny")

    @property
    def brief(self) -> tuple[str, ...]:
        """The same with little evidence; stdout is the result."""
        return (*self.tiny, *self.little_evidence, "--json", "-")


CREDIT_SCORING = Commands(
    "credit_scoring",
    "credit_applications",
    settings(
        "evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.stability_seeds=0",
        "explanation.num_recourse=0",
    ),
)  # fmt: skip
# One network, which is published: its weights and epochs are those that a test can look at.
RECOMMENDER = Commands(
    "recommender",
    "interactions",
    settings(
        "evaluation.num_bootstraps=50", "explanation.num_checked=10", "models=[popularity, gmf]",
        "serving.model=gmf", "training.patience=null",
    ),
)  # fmt: skip

# Four networks one after the other, each with its own checkpoints.
FRAUD_DETECTION = Commands(
    "fraud_detection",
    "card_transactions",
    settings(
        "protocol.num_folds=1", "evaluation.num_bootstraps=50", "evaluation.num_trees=10",
        "evaluation.boosting_rounds=10", "explanation.num_checked=20", "explanation.num_background=10",
        "explanation.num_orders=1", "training.patience=1000", "training.epochs=2",
        "training.head_epochs=2",
    ),
)  # fmt: skip
# One network for each fold, those that are served, the autoencoder.
PREDICTIVE_MAINTENANCE = Commands(
    "predictive_maintenance",
    "machine_sensor_readings",
    settings(
        "evaluation.num_bootstraps=50", "evaluation.boosting_rounds=10", "explanation.num_checked=20",
        "explanation.num_steps=8",
    ),
)  # fmt: skip
# For each fold and for what is served one network, and those behind its threshold.
ECG_ANOMALY = Commands(
    "ecg_anomaly",
    "ecg_records",
    settings("evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.num_steps=8"),
)
# A U-Net for each fold, and the one that is served.
MEDICAL_SEGMENTATION = Commands(
    "medical_segmentation",
    "image_studies",
    settings("evaluation.num_bootstraps=50", "training.min_steps=8"),
)
# One network, and what its posts need to be judged.
SOCIAL_SENTIMENT = Commands(
    "social_sentiment",
    "social_posts",
    settings(
        "evaluation.num_bootstraps=50", "evaluation.baselines=[majority]", "explanation.num_checked=20",
        "explanation.num_steps=8",
    ),
)  # fmt: skip
# Two networks side by side, and the rules of its environment.
DQN_AGENT = Commands(
    "dqn_agent",
    "environment_card",
    settings("evaluation.num_episodes=2", "explanation.num_checked=20", "explanation.film_steps=10"),
    save_always=settings("learning.checkpoint_every_seconds=1e-9"),
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
