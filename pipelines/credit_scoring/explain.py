"""Which explanation, of which output, against whom, and how far it can be trusted.

Explained is the calibrated log-odds of default, against reference applicants from training. Checked are completeness,
removal against a random order, randomised weights, agreement with sampled Shapley values, and the stability of
the reasons when the network is trained again. On the generator the true causal effects are known, too.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.decide import APPROVE, DECLINE
from pipelines.credit_scoring.generator import true_log_odds
from pipelines.credit_scoring.model import CreditNetwork
from pipelines.credit_scoring.reasons import Recourse, find_recourse
from pipelines.credit_scoring.score import TARGET, Scorer
from pipelines.credit_scoring.train import train_network
from shared.interpretability.attribution import Attribution
from shared.interpretability.deep_shap import deep_shap
from shared.interpretability.faithfulness import Faithfulness, check
from shared.interpretability.ranks import rank_correlations
from shared.interpretability.shapley import agreement, shapley_values

_SHAPLEY_ROWS, _SHAPLEY_COALITIONS, _SHAPLEY_BACKGROUND = 12, 256, 40
_TRUTH_ROWS, _TRUTH_COALITIONS = 30, 256


def reference_rows(
    training: pl.DataFrame, probability: np.ndarray, config: CreditConfig, cut_off: float
) -> pl.DataFrame:
    """The applicants that others are compared with, drawn from training; the same for every explanation."""
    pool = np.arange(len(training))
    if config.explanation.reference == "approved" and (probability < cut_off).sum() >= 10:
        pool = np.flatnonzero(probability < cut_off)
    size = min(config.explanation.num_background, len(pool))
    drawn = np.random.default_rng(config.seed).choice(pool, size, replace=False)
    return training[np.sort(drawn).tolist()]


def checked_explanation(scorer: Scorer, frame: pl.DataFrame, *, seed: int) -> Attribution:
    """The explanation of these rows with its faithfulness check attached."""
    attribution = scorer.explain(frame)
    return attribution.checked(_faithfulness(scorer, frame, attribution, seed))


def _faithfulness(scorer: Scorer, frame: pl.DataFrame, attribution: Attribution, seed: int) -> Faithfulness:
    rows, background = scorer.features.transform(frame), scorer.features.transform(scorer.background)
    slots = scorer.features.column_slots

    def explain(network: nn.Module) -> Attribution:
        assert isinstance(network, CreditNetwork)
        return deep_shap(network.members(), rows, background, target=TARGET).grouped(slots)

    return check(
        _on_encoded(scorer),
        attribution,
        rows,
        background,
        groups=slots,
        model=scorer.network,
        explain=explain,
        seed=seed,
    )


def _on_encoded(scorer: Scorer):  # type: ignore[no-untyped-def]
    """Calibrated log-odds as a function of encoded rows."""
    members = [member.eval() for member in scorer.network.members()]
    slope = scorer.calibration_slope

    def predict(encoded: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.stack([member(encoded).squeeze(-1) for member in members]).mean(0) * slope

    return predict


def shapley_agreement(scorer: Scorer, frame: pl.DataFrame, *, seed: int) -> dict[str, float]:
    """How close the fast explanation is to sampled Shapley values of the same network on a few rows."""
    frame, scorer = frame[:_SHAPLEY_ROWS], scorer.with_background(scorer.background[:_SHAPLEY_BACKGROUND])
    rows, background = scorer.features.transform(frame), scorer.features.transform(scorer.background)
    sampled = shapley_values(
        _on_encoded(scorer), rows, background, scorer.features.column_slots,
        num_coalitions=_SHAPLEY_COALITIONS, seed=seed,
    )  # fmt: skip
    found = agreement(scorer.explain(frame), sampled)
    return {
        "rows": len(rows),
        "spearman": found.spearman,
        "same_first": found.same_first,
        "relative_difference": found.relative_difference,
    }


def truth_agreement(scorer: Scorer, frame: pl.DataFrame, *, seed: int) -> dict[str, float]:
    """On the generator: rank correlation of the attributions with the Shapley values of the true equation.

    Both are interventional, so the attribution of a column is its causal effect; `per_applicant` is the mean over
    rows, `importance` that of the mean absolute effects of the columns.
    """
    rows, names = frame[:_TRUTH_ROWS], scorer.schema.feature_names
    pool = pl.concat([rows.select(names), scorer.background.select(names)])

    def predict(places: Tensor) -> Tensor:
        # a row here says, for each column, in which row of the pool its value lies
        columns = [pool[name].gather(places[:, i].long().numpy()) for i, name in enumerate(names)]
        return torch.from_numpy(true_log_odds(pl.DataFrame(columns)))

    places = torch.arange(len(pool), dtype=torch.float64)[:, None].expand(-1, len(names))
    truth = shapley_values(
        predict, places[: len(rows)], places[len(rows) :], num_coalitions=_TRUTH_COALITIONS, seed=seed
    )
    found = scorer.explain(rows)
    order = [found.names.index(name) for name in names]
    estimated = found.values[:, order]
    importance = np.abs(estimated).mean(0, keepdims=True), np.abs(truth.values).mean(0, keepdims=True)
    return {
        "rows": len(rows),
        "per_applicant": float(rank_correlations(estimated, truth.values).mean()),
        "importance": float(rank_correlations(*importance).mean()),
    }


def reason_stability(
    scorer: Scorer,
    training: pl.DataFrame,
    validation: pl.DataFrame,
    frame: pl.DataFrame,
    config: CreditConfig,
) -> dict[str, float] | None:
    """Trains the network again with other seeds and counts whose reasons change; None when there is no one to ask.

    `flip_rate` is the share of applicants (not approved) whose first reason differs, over all retrained networks;
    `overlap` the mean share of common reasons (Jaccard index) among all given.
    """
    asked = frame.filter(pl.Series(scorer.rule.decide(scorer.probability(frame)) != APPROVE))
    asked = asked[: config.explanation.num_checked]
    if config.explanation.stability_seeds == 0 or not len(asked):
        return None
    original = _codes(scorer, asked)
    flips, overlaps = [], []
    for number in range(1, config.explanation.stability_seeds + 1):
        features, result = train_network(
            training, validation, scorer.schema, config, seed=config.seed + 1000 * number
        )
        twin = Scorer(
            schema=scorer.schema,
            config=scorer.config,
            features=features,
            network=result.model,  # type: ignore[arg-type]
            calibration=scorer.calibration,
            background=scorer.background,
        )
        for before, after in zip(original, _codes(twin, asked), strict=True):
            flips.append(before[:1] != after[:1])
            overlaps.append(len(set(before) & set(after)) / max(len(set(before) | set(after)), 1))
    return {
        "applicants": len(asked),
        "retrained": config.explanation.stability_seeds,
        "flip_rate": float(np.mean(flips)),
        "overlap": float(np.mean(overlaps)),
    }


def _codes(scorer: Scorer, frame: pl.DataFrame) -> list[list[str]]:
    return [[reason.code for reason in reasons] for reasons in scorer.reasons(frame, scorer.explain(frame))]


def recourse_summary(
    scorer: Scorer, frame: pl.DataFrame, config: CreditConfig, *, truth_is_known: bool
) -> dict[str, Any] | None:
    """Recourse for declined applicants: how many have any, how far it is, and three of them in words."""
    declined = frame.filter(pl.Series(scorer.rule.decide(scorer.probability(frame)) == DECLINE))
    declined = declined[: config.explanation.num_recourse]
    changeable = any(column.may_change for column in scorer.schema.features)
    if not len(declined) or not changeable:
        return None
    searched = find_recourse(scorer, declined)
    found = [recourse for recourse in searched if recourse.effort is not None]
    summary: dict[str, Any] = {
        "declined": len(declined),
        "with_recourse": len(found),
        "one_change": sum(len(recourse.changes) == 1 for recourse in found),
        "median_effort": float(np.median([r.effort for r in found if r.effort is not None]))
        if found
        else None,
        "examples": [_recourse_json(recourse) for recourse in found[:3]],
    }
    if truth_is_known and found:
        summary["lowers_true_risk"] = float(
            np.mean([_lowers_true_risk(declined, recourse) for recourse in found])
        )
    return summary


def _recourse_json(recourse: Recourse) -> dict[str, Any]:
    return {
        "application_id": recourse.application_id,
        "probability": recourse.probability,
        "new_probability": recourse.new_probability,
        "effort": recourse.effort,
        "changes": {name: list(values) for name, values in recourse.changes.items()},
    }


def _lowers_true_risk(declined: pl.DataFrame, recourse: Recourse) -> bool:
    before = declined.filter(pl.col("application_id") == recourse.application_id)
    changed = [
        pl.lit(new).cast(before.schema[name]).alias(name) for name, (_, new) in recourse.changes.items()
    ]
    return bool(true_log_odds(before.with_columns(changed))[0] < true_log_odds(before)[0])


def example_rows(probability: np.ndarray, cut_off: float) -> dict[str, int]:
    """Three applicants that a report can show: clearly declined, next to the cut-off, clearly approved."""
    order = np.argsort(probability, kind="stable")
    return {
        "high risk": int(order[int(0.97 * (len(order) - 1))]),
        "near the cut-off": int(np.argmin(np.abs(probability - cut_off))),
        "low risk": int(order[int(0.1 * (len(order) - 1))]),
    }
