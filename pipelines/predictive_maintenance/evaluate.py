"""Every number under the protocol that it belongs to, because results of this field are rarely comparable.

Each test machine is forecast once, as C-MAPSS does it ("last"), and at all its readings ("all"); against the true
remaining life and against the one clipped at the cap. Intervals draw whole machines anew.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.predictive_maintenance.baselines import TITLES as BASELINES
from pipelines.predictive_maintenance.calibrate import STAGES, Calibrated, stage_of
from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.metrics import covered, mae, nasa_score, rmse
from pipelines.predictive_maintenance.policy import policies_document
from pipelines.predictive_maintenance.targets import Scale
from shared.evaluation.binary import average_precision, brier, roc_auc
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.compare import paired_bootstrap
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import Verdict, verdict

NETWORK, AUTOENCODER = "network", "autoencoder"
TITLES = {NETWORK: "CNN-LSTM", AUTOENCODER: "LSTM autoencoder", **BASELINES}
_NEAR_FAILURE = "near_failure"
_OF_FAILING = (average_precision, roc_auc, brier)
NO_FAILURES = "the fleet has too few failures to learn remaining life from"
_NOT_KNOWN = "of no test machine is it known when it failed"
_NOTHING_TO_TELL = "no test machine was seen both in healthy operation and before a failure"
# What stands first in every summary, with `test/` in front, and whether higher is better.
HEADLINES = {"rmse_true": False, "rmse_clipped": False, "nasa_score": False, "interval_coverage": True}


class TestResults:
    """All metrics on the test machines.

    table: facts and forecasts of every reading of the test machines, one column of forecasts for each baseline, low and
    high of the calibrated interval, failure_probability, anomaly_score, and is_last, the reading that a machine is
    forecast from.
    """

    __test__ = False

    def __init__(self, table: pl.DataFrame, scale: Scale, config: MaintenanceConfig) -> None:
        self.scale, self.time_unit = scale, table["time_unit"][0]
        self.settings: dict[str, Any] = {
            "num_replicates": config.evaluation.num_bootstraps,
            "seed": config.seed,
        }
        self.models = [name for name in (NETWORK, *BASELINES) if _column(name) in table.columns]
        self.num_machines = table["unit_id"].n_unique()
        self.known = table.filter(~pl.col("is_censored"))
        self.last = self.known.filter("is_last")
        self.judgeable = table.filter(~pl.col("is_censored") | (pl.col("remaining") > scale.horizon))

    def metrics(self, model: str) -> dict[str, Metric]:
        """`test/...` metrics of a model: the four protocols of RMSE, MAE and NASA score on the last windows; for the
        network intervals and the forecast of failing, too."""
        found = [
            self._error("rmse_true", self.last, model, rmse, clipped=False),
            self._error("rmse_clipped", self.last, model, rmse, clipped=True),
            self._error("nasa_score", self.last, model, nasa_score, clipped=False, unit=""),
            self._error("nasa_score_clipped", self.last, model, nasa_score, clipped=True, unit=""),
            self._error("mae_true", self.last, model, mae, clipped=False),
            self._error("mae_clipped", self.last, model, mae, clipped=True),
            self._error("rmse_true_all", self.known, model, rmse, clipped=False),
            self._error("rmse_clipped_all", self.known, model, rmse, clipped=True),
        ]
        if model == NETWORK:
            found += [*self._coverages(), *self._failing(), self.anomaly()]
        return {metric.name: metric for metric in found}

    def anomaly(self) -> Metric:
        """How well the anomaly score tells windows that fail within the horizon from healthy ones, which are as far
        from failure as the cap."""
        fails = pl.col("remaining") <= self.scale.horizon
        rows = self.judgeable.filter(fails | (pl.col("remaining") >= self.scale.cap))
        if not 0 < rows.filter(fails).height < rows.height:
            return undefined("test/anomaly_roc_auc", _NOTHING_TO_TELL)
        return metric_with_interval(
            "test/anomaly_roc_auc",
            roc_auc,
            rows.select(fails).to_series().to_numpy().astype(np.int64),
            rows["anomaly_score"].to_numpy(),
            groups=rows["unit_id"].to_numpy(),
            **self.settings,
        )

    def per_stage(self) -> list[dict[str, Any]]:
        """RMSE against the clipped life, coverage and width of the intervals over all windows, by true stage."""
        target = np.minimum(self.known["remaining"].to_numpy(), self.scale.cap)
        stage = stage_of(target, self.scale)
        rows = []
        for number, name in enumerate(STAGES):
            part = self.known.filter(pl.Series(stage == number))
            if part.is_empty():
                continue
            clipped = np.minimum(part["remaining"].to_numpy(), self.scale.cap)
            low, high = part["low"].to_numpy(), part["high"].to_numpy()
            rows.append(
                {
                    "stage": name,
                    "windows": part.height,
                    "machines": part["unit_id"].n_unique(),
                    "rmse": {model: rmse(clipped, part[_column(model)].to_numpy()) for model in self.models},
                    "coverage": float(covered(clipped, low, high).mean()),
                    "width": float(np.mean(np.where(np.isnan(high), self.scale.cap, high) - low)),
                }
            )
        return rows

    def counts(self) -> dict[str, int]:
        """Test machines, those of which the remaining life is known, those of them beyond the cap, their windows."""
        return {
            "machines": self.num_machines,
            "judged": self.last.height,
            "beyond_cap": int((self.last["remaining"] > self.scale.cap).sum()),
            "windows": self.known.height,
        }

    def judge(self) -> tuple[Verdict, dict[str, Any]]:
        """The network against its strongest rival, by the RMSE against the clipped life, and all differences.

        Nothing is decided where the remaining life of no test machine is known.
        """
        target = np.minimum(self.last["remaining"].to_numpy(), self.scale.cap)
        compared = {
            rival: paired_bootstrap(
                rmse,
                target,
                self.last[FORECAST].to_numpy(),
                self.last[rival].to_numpy(),
                name="rmse_clipped",
                higher_is_better=False,
                **self.settings,
            )
            for rival in self.models[1:]
        }
        judged = verdict(
            "The CNN-LSTM",
            self.metrics(NETWORK)["test/rmse_clipped"],
            compared,
            metric_label="RMSE",
            baseline_names={name: title[0].lower() + title[1:] for name, title in BASELINES.items()},
        )
        return judged, {rival: comparison.to_json() for rival, comparison in compared.items()}

    def _error(
        self,
        name: str,
        rows: pl.DataFrame,
        model: str,
        statistic: Callable[..., float],
        *,
        clipped: bool,
        unit: str | None = None,
    ) -> Metric:
        name = f"test/{name}"
        unit = self.time_unit if unit is None else unit
        if rows.is_empty():
            return undefined(name, _NOT_KNOWN, unit=unit, higher_is_better=False)
        target = rows["remaining"].to_numpy()
        return metric_with_interval(
            name,
            statistic,
            np.minimum(target, self.scale.cap) if clipped else target,
            rows[_column(model)].to_numpy(),
            groups=rows["unit_id"].to_numpy(),
            unit=unit,
            higher_is_better=False,
            **self.settings,
        )

    def _coverages(self) -> list[Metric]:
        """Share of clipped remaining lives inside their interval: last windows, all windows, those near failure."""
        near = self.known.filter(pl.col("remaining") <= self.scale.cap / len(STAGES))
        parts = {"": self.last, "_all": self.known, f"_{_NEAR_FAILURE}": near}
        return [self._coverage(f"test/interval_coverage{suffix}", rows) for suffix, rows in parts.items()] + [
            self._width()
        ]

    def _coverage(self, name: str, rows: pl.DataFrame) -> Metric:
        if rows.is_empty():
            return undefined(name, _NOT_KNOWN)
        target = np.minimum(rows["remaining"].to_numpy(), self.scale.cap)
        inside = covered(target, rows["low"].to_numpy(), rows["high"].to_numpy())
        return metric_with_interval(
            name, _mean, inside, groups=rows["unit_id"].to_numpy(), higher_is_better=True, **self.settings
        )

    def _width(self) -> Metric:
        name = "test/interval_width"
        if self.last.is_empty():
            return undefined(name, _NOT_KNOWN, unit=self.time_unit, higher_is_better=False)
        high = self.last["high"].fill_nan(self.scale.cap).fill_null(self.scale.cap).to_numpy()
        return metric_with_interval(
            name,
            _mean,
            high - self.last["low"].to_numpy(),
            unit=self.time_unit,
            higher_is_better=False,
            **self.settings,
        )

    def _failing(self) -> list[Metric]:
        """How well failing within the horizon is forecast, over all windows of which it is known."""
        rows = self.judgeable
        fails = (rows["remaining"].to_numpy() <= self.scale.horizon).astype(np.int64)
        if rows.is_empty():
            return [undefined(f"test/fails_{statistic.name}", _NOT_KNOWN) for statistic in _OF_FAILING]
        return [
            metric_with_interval(
                f"test/fails_{statistic.name}",
                statistic,
                fails,
                rows["failure_probability"].to_numpy(),
                groups=rows["unit_id"].to_numpy(),
                **self.settings,
            )
            for statistic in _OF_FAILING
        ]


def seeds_card(
    last: pl.DataFrame, members: Mapping[str, np.ndarray], scale: Scale
) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over single networks, on the last windows: what one training run may give.

    members: forecasts of each network for the rows of `last`; empty where no remaining life is known.
    """
    if last.is_empty():
        return {}
    target = last["remaining"].to_numpy()
    clipped = np.minimum(target, scale.cap)
    values = {
        "rmse_true": [rmse(target, one) for one in members.values()],
        "rmse_clipped": [rmse(clipped, one) for one in members.values()],
        "nasa_score": [nasa_score(target, one) for one in members.values()],
    }
    return {
        name: {
            "mean": float(np.mean(found)),
            "sd": float(np.std(found, ddof=1)) if len(found) > 1 else float("nan"),
            "n": len(found),
        }
        for name, found in values.items()
    }


def evaluation_document(
    table: pl.DataFrame,
    members: Mapping[str, np.ndarray],
    out_of_fold: pl.DataFrame,
    calibrated: Calibrated,
    config: MaintenanceConfig,
) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers, as plain values.

    table: see `TestResults`. members: forecasts of the single networks for its known rows that are last. out_of_fold:
    see `forecasts.out_of_fold`.
    """
    scale = calibrated.scale
    results = TestResults(table, scale, config)
    judged, comparisons = results.judge()
    metrics = {
        model: {name: metric.to_json() for name, metric in results.metrics(model).items()}
        for model in results.models
    }
    return {
        "served": NETWORK,
        "metrics": metrics,
        "anomaly": metrics[NETWORK]["test/anomaly_roc_auc"],
        "comparisons": comparisons,
        "verdict": judged.to_json(),
        "seeds": seeds_card(results.last, members, scale),
        "per_stage": results.per_stage(),
        "out_of_fold": out_of_fold_card(out_of_fold, scale),
        "policies": policies_document(out_of_fold, scale, config),
        "scale": {"cap": scale.cap, "horizon": scale.horizon},
        "counts": results.counts(),
    }


def unjudged_document(table: pl.DataFrame, scale: Scale, config: MaintenanceConfig) -> dict[str, Any]:
    """The same for a fleet without failures to learn from: nothing of remaining life, but the anomaly score of test
    machines of which it is known after all."""
    results = TestResults(table, scale, config)
    anomaly = results.anomaly()
    found = [
        *(
            undefined(f"test/{name}", NO_FAILURES, higher_is_better=better)
            for name, better in HEADLINES.items()
        ),
        anomaly,
    ]
    metrics = {metric.name: metric.to_json() for metric in found}
    sentence = f"The LSTM autoencoder cannot be judged: {NO_FAILURES}."
    return {
        "served": AUTOENCODER,
        "metrics": {AUTOENCODER: metrics},
        "anomaly": metrics[anomaly.name],
        "comparisons": {},
        "verdict": Verdict(sentence, "within noise", "").to_json(),
        "seeds": None,
        "per_stage": [],
        "out_of_fold": None,
        "policies": None,
        "scale": {"cap": scale.cap, "horizon": scale.horizon},
        "counts": results.counts(),
    }


def out_of_fold_card(out_of_fold: pl.DataFrame, scale: Scale) -> dict[str, float]:
    """RMSE over all windows of the training machines, each forecast by a network that has not seen it: how far the test
    may lie from it is seen beside it."""
    known = out_of_fold.filter(~pl.col("is_censored"))
    target, forecast = known["remaining"].to_numpy(), known[FORECAST].to_numpy()
    return {
        "rmse_true": rmse(target, forecast),
        "rmse_clipped": rmse(np.minimum(target, scale.cap), forecast),
        "machines": known["unit_id"].n_unique(),
        "windows": known.height,
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def _column(model: str) -> str:
    return FORECAST if model == NETWORK else model
