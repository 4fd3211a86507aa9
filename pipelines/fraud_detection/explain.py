"""Which explanation, of which output, against whom, and how far it can be trusted.

Two belong together: what each feature adds to the score, against usual genuine transactions (Shapley values, as Antwarg
et al. 2021 do for reconstruction errors), and the standardised reconstruction errors, which sum to the score of the
autoencoder exactly. Checked are completeness, removal against a random order, randomised weights, agreement of two
samplings, and anomalies that are planted into single features.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.fraud_detection.model import Detector
from pipelines.fraud_detection.reasons import title_of, value_text
from pipelines.fraud_detection.score import Scorer, affine, shapley
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import check
from shared.interpretability.shapley import agreement

# Planted values lie so many standard deviations of genuine transactions from the mean.
PLANTED_AT = 10.0
_FEW_ROWS, _TRUTH_ROWS = 30, 60
_NUM_EXAMPLES = 3


def usual_rows(genuine: pl.DataFrame, names: tuple[str, ...], size: int, seed: int) -> pl.DataFrame:
    """Features of genuine training transactions, which others are compared with; drawn at random."""
    drawn = np.random.default_rng(seed).choice(genuine.height, min(size, genuine.height), replace=False)
    return genuine.select(names)[np.sort(drawn).tolist()]


def rows_to_check(scorer: Scorer, test: pl.DataFrame, size: int) -> pl.DataFrame:
    """Transactions whose explanations are checked: half of them the most suspicious, half drawn evenly."""
    order = np.argsort(-scorer.scores(test), kind="stable")
    size = min(size, test.height)
    top, rest = order[: size // 2], order[size // 2 :]
    places = np.linspace(0, len(rest) - 1, size - size // 2).round().astype(int)
    return test[np.sort(np.concatenate([top, rest[places]])).tolist()]


def checked_explanation(scorer: Scorer, frame: pl.DataFrame, *, seed: int) -> Attribution:
    """The explanation of these rows with its faithfulness check attached."""
    attribution = scorer.explain(frame)
    rows, usual = scorer.rows(frame), scorer.rows(scorer.usual)
    slope = affine(scorer.calibration)[0]

    def explain(detector: nn.Module) -> Attribution:
        assert isinstance(detector, Detector)
        return shapley(detector, rows[:_FEW_ROWS], usual, scorer, seed=seed)

    faithfulness = check(
        _predict(scorer.detector, slope),
        attribution,
        rows,
        usual,
        groups={name: [at] for at, name in enumerate(attribution.names)},
        model=scorer.detector,
        explain=explain,
        seed=seed,
    )
    return attribution.checked(faithfulness)


def _predict(detector: Detector, slope: float):  # type: ignore[no-untyped-def]
    def predict(rows: Tensor) -> Tensor:
        with torch.inference_mode():
            return detector(rows) * slope

    return predict


def sampling_agreement(scorer: Scorer, frame: pl.DataFrame, *, seed: int) -> dict[str, float]:
    """How much of an explanation is chance: two samplings of the Shapley values of the same rows."""
    frame = frame[:_FEW_ROWS]
    found = agreement(scorer.explain(frame, seed=seed + 1), scorer.explain(frame, seed=seed + 2))
    return {
        "rows": frame.height,
        "spearman": found.spearman,
        "same_first": found.same_first,
        "relative_difference": found.relative_difference,
    }


def planted_anomalies(scorer: Scorer, genuine: pl.DataFrame, *, seed: int) -> dict[str, Any]:
    """Share of anomalies, planted into one feature of a genuine transaction, in which that feature ranks first.

    By reconstruction error, and by what it adds to the anomaly score. Features with two values have no anomalies.
    """
    names = scorer.scaling.names
    drawn = np.random.default_rng(seed).choice(
        genuine.height, min(scorer.config.explanation.num_planted, genuine.height), replace=False
    )
    rows, usual = scorer.rows(genuine[drawn.tolist()]), scorer.rows(scorer.usual)
    alone = Detector(scorer.detector.autoencoder, scorer.detector.mean_error).eval()
    shares: dict[str, dict[str, float]] = {}
    for at, name in enumerate(names):
        if genuine[name].n_unique() <= 2:
            continue
        planted = rows.clone()
        planted[:, at] = PLANTED_AT
        with torch.inference_mode():
            by_error = alone.errors(planted).argmax(1) == at
        added = shapley(alone, planted, usual, scorer, seed=seed).values
        shares[name] = {
            "error": float(by_error.double().mean()),
            "contribution": float((added.argmax(1) == at).mean()),
        }
    means = {
        kind: float(np.mean([found[kind] for found in shares.values()])) for kind in ("error", "contribution")
    }
    return {"rows": len(rows), "at": PLANTED_AT, "features": shares, **means}


def family_agreement(scorer: Scorer, test: pl.DataFrame) -> dict[str, Any] | None:
    """On the generator: how often the strongest feature is of the family that the fraud moved.

    Of the most suspicious frauds of the test: amounts for scenarios 1 and 3, the terminal for scenario 2.
    """
    scores = scorer.scores(test)
    caught = test.with_columns(score=pl.Series(scores)).filter(pl.col("scenario") > 0)
    caught = caught.sort("score", descending=True)[:_TRUTH_ROWS]
    if caught.is_empty():
        return None
    strongest = scorer.explain(caught).top(1, "up")
    first = ["" if not found else found[0][0] for found in strongest]
    right = [
        ("terminal" in name) if scenario == 2 else ("amount" in name)
        for name, scenario in zip(first, caught["scenario"], strict=True)
    ]
    return {"rows": caught.height, "share": float(np.mean(right))}


def examples(scorer: Scorer, frame: pl.DataFrame, attribution: Attribution) -> list[dict[str, Any]]:
    """The most suspicious rows in words and numbers: what each feature is, would be, and adds."""
    scores = scorer.scores(frame)
    normal, errors = scorer.normal(frame), scorer.errors(frame)
    values = frame.select(scorer.scaling.names).to_numpy()
    return [
        {
            "transaction_id": frame["transaction_id"][row],
            "is_fraud": frame["is_fraud"][row],
            "score": float(scores[row]),
            "anomaly": float(errors[row].sum()),
            "base_value": attribution.base_value,
            "features": [
                {
                    "title": title_of(name),
                    "value": value_text(name, values[row, at]),
                    "normal": value_text(name, normal[row, at]),
                    "contribution": float(attribution.values[row, at]),
                    "error": float(errors[row, at]),
                }
                for at, name in enumerate(scorer.scaling.names)
            ],
        }
        for row in np.argsort(-scores, kind="stable")[:_NUM_EXAMPLES].tolist()
    ]
