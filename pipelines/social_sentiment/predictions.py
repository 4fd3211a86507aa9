"""What is said of the test posts by the network, by networks of other seeds, and by the baselines: one row a post."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.social_sentiment.baselines import Baseline
from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.prevalence import adapted, corrected

NETWORK = "network"
SEED = "seed_"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A network's logits of the test posts, (posts, K), with its calibration."""

    logits: np.ndarray
    calibration: Calibration


def predict_test(
    frame: pl.DataFrame,
    texts: Sequence[str],
    truth: np.ndarray,
    groups: np.ndarray,
    network: Judged,
    seeds: Mapping[int, Judged],
    baselines: Mapping[str, Baseline],
) -> pl.DataFrame:
    """The test table: post_id, topic and time of `frame`; truth, group (of duplicates), for each model the number of
    its label and `sure_MODEL`, the probability of its likeliest label; of the network also `logit_K`, abstains, and
    `adapted` and `sure_adapted` after the correction for the shares in the test.

    groups: int64 (posts,). seeds: other networks, by seed; their labels are `seed_N`.
    """
    calibration = network.calibration
    probabilities = calibration.probabilities(network.logits)
    moved = adapted(probabilities, calibration.prior, corrected(probabilities, calibration.prior))
    found: dict[str, np.ndarray] = {
        "truth": truth,
        "group": groups,
        NETWORK: calibration.decide(probabilities),
        f"sure_{NETWORK}": probabilities.max(1),
        "likeliest": probabilities.argmax(1),
        "sureness": calibration.sureness(probabilities),
        "abstains": calibration.abstains(probabilities),
        "adapted": moved.argmax(1),
        "sure_adapted": moved.max(1),
    }
    found |= {f"logit_{label}": network.logits[:, label] for label in range(network.logits.shape[1])}
    for seed, judged in seeds.items():
        found[f"{SEED}{seed}"] = judged.calibration.decide(judged.calibration.probabilities(judged.logits))
    for name, baseline in baselines.items():
        said = baseline.predict_proba(texts)
        found |= {name: said.argmax(1), f"sure_{name}": said.max(1)}
    facts = [column for column in ("post_id", "topic", "time") if column in frame.columns]
    return frame.select(facts).with_columns(pl.Series(name, values) for name, values in found.items())


def logits_in(table: pl.DataFrame) -> np.ndarray:
    """The network's logits in a test table, float64 (posts, K)."""
    return table.select(pl.col("^logit_[0-9]+$")).to_numpy().astype(np.float64)
