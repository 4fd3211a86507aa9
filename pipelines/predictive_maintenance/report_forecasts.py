"""The parts of the report about forecasts: under which protocol, how far off, with which intervals and when."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.evaluate import NETWORK, TITLES
from pipelines.predictive_maintenance.evidence import EvidenceDocuments
from pipelines.predictive_maintenance.figures import (
    anomaly_over_life,
    forecast_against_truth,
    lives_over_time,
    typical_lives,
)
from shared.publishing.blocks import Block, Column, Figure, KeyValues, Paragraph, Section, Table, Value, show
from shared.publishing.figures import reliability
from shared.publishing.standard import results_table, titled
from shared.publishing.summary import RunSummary

_RMSE = {
    "test/rmse_true": "True life, each machine once",
    "test/rmse_clipped": "Clipped life, each machine once",
    "test/rmse_true_all": "True life, all windows",
    "test/rmse_clipped_all": "Clipped life, all windows",
}
_OTHERS = {
    "test/mae_clipped": "MAE, clipped life",
    "test/nasa_score": "NASA score, true life",
    "test/nasa_score_clipped": "NASA score, clipped life",
}
# Few windows fail: in tenths all of them would be in the last one.
_NUM_BINS = 40
_COVERAGES = {
    "test/interval_coverage": "Each machine once",
    "test/interval_coverage_all": "All windows",
    "test/interval_coverage_near_failure": "All windows in the last third of the cap",
}


def protocol_section(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    """The same forecasts under every protocol that results of this field are given in."""
    models = {
        f"{TITLES[NETWORK]} (served)": summary.metrics,
        **titled(summary.baselines, TITLES),
    }
    text = (
        "Results of this field are rarely comparable: some clip the true remaining life at the cap, some count all "
        "windows, some the last one of each machine. Here are all of them for the same forecasts. The cards above "
        "count each machine once, at one moment, as C-MAPSS does."
    )
    tables = [
        replace(results_table(models, _RMSE), caption="RMSE in four protocols"),
        replace(results_table(models, _OTHERS), caption="Other errors, each machine once"),
    ]
    return Section("Protocol card", [Paragraph(text), *tables, KeyValues(_card(summary, evidence))])


def _card(summary: RunSummary, evidence: EvidenceDocuments) -> dict[str, Value]:
    evaluation = evidence.evaluation
    counts, cap = evaluation["counts"], evaluation["scale"]["cap"]
    unit = evidence.fleet["time_unit"]
    folds = evaluation["out_of_fold"]
    test = summary.metrics["test/rmse_clipped_all"].value
    gap = None if test is None else test - folds["rmse_clipped"]
    return {
        "Machines judged": f"{counts['judged']} of {counts['machines']} test machines, each once; "
        f"{show(counts['windows'])} windows",
        "Beyond the cap": f"{counts['beyond_cap']} of {counts['judged']} truly last longer than {show(cap)} {unit}, "
        "which the network cannot say",
        "Single networks": _seeds(evaluation["seeds"], unit),
        "Training machines, out of fold": f"RMSE {show(folds['rmse_clipped'], 2)} {unit} clipped, all windows of "
        f"{folds['machines']} machines, each forecast by one network that had not seen it",
        "Test against out of fold": "not known"
        if gap is None
        else f"{show(gap, 2)} {unit}, clipped, all windows; above 0 the test is harder",
        "Remaining life": "0 at the failing reading",
        "RMSE": "root of the mean over all machines at once, never a mean over batches",
        "NASA score": "sum over the machines of exp(−d/13) − 1 for d < 0, exp(d/10) − 1 else; d = forecast − truth, "
        "so late costs more than early; lower is better",
        "Intervals": "95 %, whole machines drawn anew",
    }


def _seeds(seeds: Mapping[str, Any], unit: str) -> str:
    number = seeds["rmse_clipped"]["n"]
    if number == 1:
        return "one network is served: the spread over seeds is not known"
    true, clipped = (seeds[name] for name in ("rmse_true", "rmse_clipped"))
    return (
        f"{number} seeds, RMSE {show(true['mean'], 2)} ± {show(true['sd'], 2)} {unit} true, "
        f"{show(clipped['mean'], 2)} ± {show(clipped['sd'], 2)} clipped (mean and standard deviation); served is the "
        "mean of their forecasts"
    )


def forecasts_section(evidence: EvidenceDocuments) -> Section:
    """Forecast against truth, machines over time, errors by stage."""
    table, cap = evidence.forecasts, evidence.evaluation["scale"]["cap"]
    unit = evidence.fleet["time_unit"]
    known = table.filter(~pl.col("is_censored"))
    last = known.filter("is_last")
    scatter = Figure(
        forecast_against_truth(last, cap, unit),
        f"Each test machine at the moment at which it is forecast, with its interval; a triangle is an open end, "
        f"“{show(cap)} {unit} or more”. The dashed line is the truth, flat from the cap on.",
        "Forecast against true remaining life",
        wide=True,
    )
    lives = Figure(
        lives_over_time(typical_lives(table, cap), cap, unit),
        "Single machines over their recorded time: of those recorded until near failure the two that are forecast "
        "best, two in the middle, the two worst.",
        "Forecast, interval and truth of six machines",
        wide=True,
    )
    return Section("Forecasts", [scatter, lives, *_stages(evidence)])


def _stages(evidence: EvidenceDocuments) -> list[Block]:
    stages = evidence.evaluation["per_stage"]
    if not stages:
        return []
    models = [name for name in TITLES if name in stages[0]["rmse"]]
    columns: list[Column | str] = [
        "True stage",
        Column("Windows", number=True),
        Column("Machines", number=True),
    ]
    columns += [Column(f"RMSE\n{TITLES[model]}", number=True, digits=1) for model in models]
    columns += [
        Column("Intervals hold", number=True, digits=3),
        Column("Mean width", number=True, digits=1),
    ]
    rows = [
        [stage["stage"], stage["windows"], stage["machines"]]
        + [stage["rmse"][model] for model in models]
        + [stage["coverage"], stage["width"]]
        for stage in stages
    ]
    note = "Stages are thirds of the cap by the true remaining life, clipped at the cap; all windows."
    return [Table(columns, rows, "Where in life the errors are", [note])]


def certainty_section(config: MaintenanceConfig, summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    """Whether intervals and probabilities keep their promise."""
    promised = config.protocol.coverage
    unit, horizon = evidence.fleet["time_unit"], evidence.evaluation["scale"]["horizon"]
    rows: list[list[Value]] = []
    for name, title in _COVERAGES.items():
        metric = summary.metrics[name]
        rows.append([title, promised, metric.value, metric.low, metric.high, metric.n])
    columns: list[Column | str] = ["Test", Column("Promised", number=True, digits=2)]
    columns += [Column(title, number=True, digits=3) for title in ("Held", "Low", "High")]
    columns.append(Column("Machines", number=True))
    note = (
        "Intervals were widened, or narrowed, on training machines that the network had not seen, by thirds of the "
        "cap. Their promise is for all forecasts of one third together, not for each machine."
    )
    table = Table(
        columns, rows, "Share of true remaining lives, clipped at the cap, inside their interval", [note]
    )
    judgeable = evidence.forecasts.filter(~pl.col("is_censored") | (pl.col("remaining") > horizon))
    figure = Figure(
        reliability(
            (judgeable["remaining"] <= horizon).cast(pl.Int64).to_numpy(),
            judgeable["failure_probability"].to_numpy(),
            num_bins=_NUM_BINS,
        ),
        f"Probability of failing within {show(horizon)} {unit}, all windows of the test machines: in groups of equal "
        "size, how many did. Bars take windows as independent; windows of one machine are not, so they are too short.",
        "Reliability of the failure probability",
    )
    return Section("How sure the forecasts are", [table, figure])


def anomaly_section(evidence: EvidenceDocuments) -> Section:
    """The score of the autoencoder that learnt healthy operation alone."""
    unit, cap = evidence.fleet["time_unit"], evidence.evaluation["scale"]["cap"]
    found = evidence.evaluation["anomaly"]
    text = (
        "An LSTM autoencoder learnt windows of healthy operation alone, without a label. Its score says how unlike "
        "them a window is; 1 is usual for those that it learnt."
    )
    if found is not None and found["value"] is not None:
        text += (
            f" It puts windows that fail within {show(evidence.evaluation['scale']['horizon'])} {unit} before healthy "
            f"ones with a ROC-AUC of {show(found['value'], 3)} ({show(found['low'], 3)} to {show(found['high'], 3)})."
        )
    figure = Figure(
        anomaly_over_life(evidence.forecasts, cap, unit),
        "Anomaly score of the test machines, logarithmic.",
        "Anomaly score over the life of machines",
        wide=True,
    )
    return Section("Anomaly score", [Paragraph(text), figure])
