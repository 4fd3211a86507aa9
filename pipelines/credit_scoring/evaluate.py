"""The protocol: one test part read once, repeated splits for small tables, baselines on the same rows, fairness.

Calibration and cut-off are fixed on validation before any of this runs. For tables of fewer than
`repeat_below_rows` rows the verdict comes from 5 x 2 cross-validation (Nadeau-Bengio corrected intervals): 200 test
rows leave ROC-AUC uncertain by 0.035, which is more than any two good models differ by.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from pipelines.credit_scoring import baselines
from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.decide import APPROVE, DECISIONS, costs
from pipelines.credit_scoring.fairness import audit_groups
from pipelines.credit_scoring.features import floats
from pipelines.credit_scoring.folds import repeated_stratified
from pipelines.credit_scoring.repeated import repeated_comparison, repeated_metric
from pipelines.credit_scoring.schema import LenderSchema, ProtectedColumn
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.train import outcomes, predict_log_odds, train_network
from shared.evaluation import binary
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.calibration import sigmoid
from shared.evaluation.compare import Comparison, compare_auc, paired_bootstrap
from shared.evaluation.metric import Metric
from shared.evaluation.reliability import calibration_table
from shared.evaluation.thresholds import bayes_cut, cost_curve, cost_threshold
from shared.evaluation.verdict import verdict

NETWORK = "network"
STATISTICS = {
    "roc_auc": binary.roc_auc,
    "gini": binary.gini,
    "ks": binary.ks,
    "average_precision": binary.average_precision,
    "brier": binary.brier,
    "log_loss": binary.log_loss,
    "ece": binary.ece,
}
_RANGES = {"gini": (-1.0, 1.0), "log_loss": (0.0, np.inf)}


def predict_test(
    scorer: Scorer, fitting: pl.DataFrame, test: pl.DataFrame, config: CreditConfig
) -> pl.DataFrame:
    """Probabilities of default on the test part: id, outcome, one column a model (the network and each baseline)."""
    fitted = baselines.fit_baselines(
        fitting,
        outcomes(fitting),
        scorer.schema,
        config.model,
        config.evaluation.baseline_iterations,
        config.seed,
    )
    columns = {name: predict(test) for name, predict in fitted.items()}
    return pl.DataFrame(
        {
            "application_id": test["application_id"],
            "defaulted": outcomes(test),
            NETWORK: scorer.probability(test),
            **columns,
        }
    )


def test_metrics(predictions: pl.DataFrame, config: CreditConfig) -> dict[str, dict[str, Metric]]:
    """Every statistic with its interval for every model: model -> `test/<statistic>` -> metric."""
    y = predictions["defaulted"].to_numpy()
    return {
        model: {
            f"test/{name}": metric_with_interval(
                f"test/{name}",
                statistic,
                y,
                predictions[model].to_numpy(),
                bounds=_RANGES.get(name, (0.0, 1.0)),
                # noise can only raise ECE: the percentile interval would sit above the value
                method="basic" if name == "ece" else "percentile",
                num_replicates=config.evaluation.num_bootstraps,
                seed=config.seed,
            )
            for name, statistic in STATISTICS.items()
        }
        for model in predictions.columns[2:]
    }


def compare_on_test(predictions: pl.DataFrame, config: CreditConfig) -> dict[str, dict[str, Comparison]]:
    """The network minus each baseline on the same test rows: baseline -> statistic -> difference."""
    y, network = predictions["defaulted"].to_numpy(), predictions[NETWORK].to_numpy()
    return {
        name: {
            "roc_auc": compare_auc(y, network, predictions[name].to_numpy(), seed=config.seed),
            "brier": paired_bootstrap(
                binary.brier,
                y,
                network,
                predictions[name].to_numpy(),
                num_replicates=config.evaluation.num_bootstraps,
                seed=config.seed,
            ),
        }
        for name in baselines.NAMES
    }


def repeat_splits(table: pl.DataFrame, schema: LenderSchema, config: CreditConfig) -> dict[str, Any] | None:
    """Repeated two-fold cross-validation of network and baselines on all rows; None for tables that are large enough.

    Nothing is selected on the folds: the network keeps its last epoch and is not recalibrated.
    Returns metrics and comparisons, `cv/roc_auc` and `cv/brier`.
    """
    settings = config.evaluation
    if settings.num_repeats == 0 or len(table) >= settings.repeat_below_rows:
        return None
    y = outcomes(table)
    folds = repeated_stratified(y, 2, settings.num_repeats, config.seed)
    scores: dict[str, dict[str, list[float]]] = {}
    for number, fold in enumerate(folds):
        training, test = table[fold.train], table[fold.test]
        predicted = _fold_predictions(training, test, schema, config, seed=config.seed + number)
        for model, probability in predicted.items():
            values = scores.setdefault(model, {"roc_auc": [], "brier": []})
            values["roc_auc"].append(binary.roc_auc(y[fold.test], probability))
            values["brier"].append(binary.brier(y[fold.test], probability))
    num_train, num_test = len(folds[0].train), len(folds[0].test)
    better = {"roc_auc": True, "brier": False}
    return {
        "splits": len(folds),
        "metrics": {
            model: {
                f"cv/{name}": repeated_metric(
                    f"cv/{name}",
                    values,
                    higher_is_better=better[name],
                    bounds=(0.0, 1.0),
                    num_train=num_train,
                    num_test=num_test,
                )
                for name, values in by_name.items()
            }
            for model, by_name in scores.items()
        },
        "comparisons": {
            model: {
                name: repeated_comparison(
                    name,
                    scores[NETWORK][name],
                    values,
                    higher_is_better=better[name],
                    num_train=num_train,
                    num_test=num_test,
                )
                for name, values in by_name.items()
            }
            for model, by_name in scores.items()
            if model != NETWORK
        },
    }


def _fold_predictions(
    training: pl.DataFrame, test: pl.DataFrame, schema: LenderSchema, config: CreditConfig, *, seed: int
) -> dict[str, np.ndarray]:
    features, result = train_network(training, None, schema, config, seed=seed)
    network = sigmoid(predict_log_odds(result.model, features.transform(test)))  # type: ignore[arg-type]
    fitted = baselines.fit_baselines(
        training, outcomes(training), schema, config.model, config.evaluation.baseline_iterations, seed
    )
    return {NETWORK: network, **{name: predict(test) for name, predict in fitted.items()}}


def audit_fairness(
    test: pl.DataFrame, probability: np.ndarray, scorer: Scorer, config: CreditConfig
) -> list[dict[str, Any]]:
    """For each protected attribute: approval rates, error rates and calibration by group at the chosen cut-off.

    The favourable decision is approval, so `selected` means approved (or better, not declined without review).
    """
    approved = probability < scorer.rule.cut_off
    repaid = 1 - outcomes(test)
    return [
        audit_groups(
            repaid,
            approved,
            _groups(test[column.name], column),
            attribute=column.title,
            probability=1.0 - probability,
            seed=config.seed,
        ).to_json()
        for column in scorer.schema.protected
        if column.name in test.columns
    ]


def _groups(values: pl.Series, column: ProtectedColumn) -> np.ndarray:
    """Group names: bands for numbers, meanings for levels, `missing` where nothing is known."""
    if not column.upper_edges:
        return values.cast(pl.String).replace(dict(column.levels)).fill_null("missing").to_numpy()
    numbers = floats(values)
    edges = np.array(column.upper_edges)
    names = [f"up to {edges[0]:g}"]
    names += [f"over {low:g} to {high:g}" for low, high in pairwise(edges)]
    names += [f"over {edges[-1]:g}"]
    banded = np.array(names, dtype=object)[np.searchsorted(edges, np.nan_to_num(numbers), side="left")]
    return np.where(np.isnan(numbers), "missing", banded)


def evaluation_document(
    scorer: Scorer,
    validation: pl.DataFrame,
    test: pl.DataFrame,
    predictions: pl.DataFrame,
    repeated: Mapping[str, Any] | None,
    config: CreditConfig,
) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers, as plain values."""
    y, probability = predictions["defaulted"].to_numpy(), predictions[NETWORK].to_numpy()
    metrics = test_metrics(predictions, config)
    comparisons = compare_on_test(predictions, config)
    deciding = repeated["comparisons"] if repeated else comparisons
    headline = (
        repeated["metrics"][NETWORK]["cv/roc_auc"].metric if repeated else metrics[NETWORK]["test/roc_auc"]
    )
    judged = verdict(
        "The network",
        headline,
        {name: by_statistic["roc_auc"] for name, by_statistic in deciding.items()},
        metric_label="mean ROC-AUC over repeated splits" if repeated else None,
        baseline_names=baselines.NAMES,
    )
    on_validation = scorer.probability(validation)
    price = costs(config.decision)
    rule = scorer.rule
    return {
        "metrics": {model: _json(by_name) for model, by_name in metrics.items()},
        "comparisons": {model: _json(by_name) for model, by_name in comparisons.items()},
        "repeated": _repeated_json(repeated),
        "verdict": judged.to_json(),
        "ece_noise_floor": binary.ece_noise_floor(probability),
        "calibration": scorer.calibration.to_json(),
        "calibration_table": [row.to_json() for row in calibration_table(y, probability)],
        "cut_off": {
            "rule": rule.to_json(),
            "validation": bayes_cut(outcomes(validation), on_validation, price).to_json(),
            "validation_optimum": cost_threshold(outcomes(validation), on_validation, price).to_json(),
            "test": bayes_cut(y, probability, price).to_json(),
            "decisions": {name: int((rule.decide(probability) == name).sum()) for name in DECISIONS},
            "default_rate_of_approved": _rate(y[rule.decide(probability) == APPROVE]),
        },
        "fairness": audit_fairness(test, probability, scorer, config),
    }


def cost_by_cut_off(predictions: pl.DataFrame, config: CreditConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cut-offs and the cost per applicant at each, on the test part, for the figure."""
    curve = cost_curve(
        predictions["defaulted"].to_numpy(), predictions[NETWORK].to_numpy(), costs(config.decision)
    )
    return curve.threshold, curve.cost_per_case


def _rate(outcome: np.ndarray) -> float | None:
    return float(outcome.mean()) if len(outcome) else None


def _json(results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result.to_json() for name, result in results.items()}


def _repeated_json(repeated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if repeated is None:
        return None
    return {
        "splits": repeated["splits"],
        "metrics": {
            model: {name: result.metric.to_json() for name, result in by_name.items()}
            for model, by_name in repeated["metrics"].items()
        },
        "standard_deviations": {
            model: {name: result.standard_deviation for name, result in by_name.items()}
            for model, by_name in repeated["metrics"].items()
        },
        "comparisons": {model: _json(by_name) for model, by_name in repeated["comparisons"].items()},
    }
