"""The parts of the report about use: what the budget buys, what cut-offs cost, how days differ."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import DecisionConfig
from pipelines.fraud_detection.decide import Decision
from pipelines.fraud_detection.evaluate import CARD_PRECISION, RECALL, TITLES
from pipelines.fraud_detection.evidence import EvidenceDocuments
from shared.publishing.blocks import Block, Column, Figure, KeyValues, Paragraph, Section, Table, show
from shared.publishing.figure_style import (
    INK,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    line_style,
    new_figure,
    nothing,
    save,
)
from shared.publishing.figures import cost_curve

# Above so many times the budget no analyst will ever look.
_SHOWN_BUDGETS = 3.0
_DRAWN = ("head", "autoencoder", "gradient_boosting", "mahalanobis")


def decision_section(decision: Decision, config: DecisionConfig, evidence: EvidenceDocuments) -> Section:
    """The alert budget, and the expected cost of every cut-off on validation."""
    blocks: list[Block] = [Paragraph(_budget_text(config, evidence)), KeyValues(_cut_offs(decision))]
    curve = evidence.training[-1]["cost_curve"]
    if curve is None:
        return Section(
            "Decision", [*blocks, Paragraph("Without labels, no cost of missed frauds can be stated.")]
        )
    alerts, cost = (np.array(curve[name]) for name in ("alerts_per_day", "cost_per_day"))
    cheapest = int(np.argmin(cost))
    shown = alerts <= max(_SHOWN_BUDGETS * config.alerts_per_day, 1.5 * alerts[cheapest])
    text = (
        f"On the validation week of the served fold, looking at nothing would have cost {show(cost[0], 0)} a day in "
        f"missed frauds. Looking at {show(float(alerts[cheapest]), 0)} transactions a day costs least, "
        f"{show(float(cost[cheapest]), 0)} a day, at {show(config.cost_per_alert)} for each alert and "
        f"{config.lost_share:.0%} of the amount of each missed fraud."
    )
    figure = Figure(
        cost_curve(
            alerts[shown],
            {"expected cost": cost[shown]},
            chosen=float(config.alerts_per_day),
            unit="currency of the table a day",
            x="Alerts a day",
        ),
        "Expected cost of a day by the number of alerts, on validation; the line is the budget.",
        "Cost curve",
    )
    return Section("Decision", [*blocks, Paragraph(text), figure])


def _budget_text(config: DecisionConfig, evidence: EvidenceDocuments) -> str:
    alerts = evidence.evaluation["alerts"]
    text = f"The {config.alerts_per_day} most suspicious transactions of a day are alerts, where looking at them pays."
    if alerts is None:
        return text
    return (
        f"{text} On the {alerts['days']} test days, with {show(float(alerts['frauds_per_day']), 1)} frauds a day, "
        f"{alerts['share_that_are_frauds']:.0%} of the transactions inside that budget were frauds."
    )


def _cut_offs(decision: Decision) -> dict[str, str | float]:
    cost = decision.cost_cut_off
    return {
        "Score of the last alert inside the budget": round(decision.budget_cut_off, 3),
        "Score from which looking pays": round(cost, 3) if np.isfinite(cost) else "not known without labels",
    }


def days_section(evidence: EvidenceDocuments) -> Section:
    """Values of the test days, drawn, and of the folds, in a table."""
    if evidence.daily.is_empty():
        return Section(
            "Days and folds",
            [Paragraph("No day has a transaction of which it is known whether it was fraud.")],
        )
    drawn = [name for name in _DRAWN if f"{name}/{RECALL}" in evidence.daily.columns]
    figure = Figure(
        _daily_figure(evidence.daily, drawn),
        "Each point is a test day: above, the share of its 100 most suspicious cards with a fraud; below, the share of "
        "its frauds inside the alert budget.",
        "Card precision and recall by day",
        wide=True,
    )
    return Section("Days and folds", [figure, _fold_table(evidence)])


def _daily_figure(daily: pl.DataFrame, models: Sequence[str]) -> str:
    if not models:
        return nothing("no model has values of days")
    figure = new_figure(WIDE_INCHES, 5.0)
    panels = figure.subplots(2, 1, sharex=True)
    titles = {CARD_PRECISION: "Card precision@100", RECALL: "Recall at the alert budget"}
    labels = [f"{day:%m-%d}" for day in daily["day"]]
    places = np.arange(len(labels))
    breaks = np.flatnonzero(np.diff(daily["fold"].to_numpy())) + 0.5
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for index, model in enumerate(models):
            values = daily[f"{model}/{name}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            axes.plot(places, values, marker=".", label=TITLES[model], **line_style(index))
        for place in breaks:
            axes.axvline(place, color=INK, linewidth=0.6)
        dress(axes, title=title, grid="y")
        axes.set_ylim(bottom=0)
    every = max(1, len(labels) // 14)
    panels[1].set_xticks(places[::every], labels[::every])
    lines = panels[0].get_lines()[: len(models)]
    drawn = figure.legend(
        lines, [TITLES[model] for model in models], loc="outside lower center", ncols=len(models)
    )
    drawn.set_frame_on(False)
    for text in drawn.get_texts():
        text.set(fontsize=SMALL_POINTS, color=INK)
    return save(figure)


def _fold_table(evidence: EvidenceDocuments) -> Table:
    per_fold = evidence.evaluation["per_fold"]
    models = list(evidence.evaluation["metrics"])
    order = [name for name in TITLES if name in models]
    columns: list[Column | str] = ["Model"]
    columns += [Column(f"Fold {number}", number=True, digits=3) for number in range(1, len(per_fold) + 1)]
    columns += [Column("Mean", number=True, digits=3), Column("Deviation", number=True, digits=3)]
    rows = []
    for model in order:
        values = [fold[model]["average_precision"] for fold in per_fold]
        known = [value for value in values if value is not None]
        deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
        rows.append([TITLES[model], *values, float(np.mean(known)) if known else None, deviation])
    return Table(columns, rows, "Average precision of each fold, oldest first", emphasis=(0,))
