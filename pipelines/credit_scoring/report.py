"""The validation report of a run: what a lender files and a validator reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.credit_scoring.evaluate import NETWORK, cost_by_cut_off
from pipelines.credit_scoring.evidence import LIMITS, QUESTION, TITLES, EvidenceDocuments
from pipelines.credit_scoring.report_explanation import explanation_section, recourse_section
from pipelines.credit_scoring.score import Scorer
from shared.publishing import figures
from shared.publishing.blocks import (
    Block,
    Callout,
    Column,
    Figure,
    KeyValues,
    Kind,
    Paragraph,
    Report,
    Section,
    Table,
    estimate,
    interval,
)
from shared.publishing.report import render
from shared.publishing.standard import (
    data_section,
    limits_section,
    readable,
    results_section,
    run_section,
    training_section,
)
from shared.publishing.summary import RunSummary


def run_report(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments, test: pl.DataFrame) -> str:
    """The validation report as one self-contained HTML page."""
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    results = results_section(
        summary,
        TITLES,
        model_title="Network",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]],
        notes=[
            "Intervals: bootstrap over applicants. Baselines are fitted on training and validation rows together."
        ],
    )
    sections = [
        results,
        *_repeated_section(evidence),
        _discrimination_section(evidence),
        _calibration_section(evidence),
        _decision_section(scorer, evidence),
        *_fairness_sections(evidence),
        explanation_section(scorer, evidence, test),
        *recourse_section(scorer, evidence),
        data_section(
            split=evidence.split,
            audit=evidence.audit,
            notes=evidence.notes,
            quarantine=evidence.quarantine,
        ),
        training_section(
            evidence.training,
            kept="The epoch of the lowest validation log loss was kept.",
            caption="Log loss by epoch, nats.",
        ),
        run_section(summary),
        limits_section(LIMITS),
    ]
    return render(
        Report(
            title="Credit scoring: validation report",
            subtitle=QUESTION,
            sections=sections,
            facts={
                "Data": summary.source,
                "Preset": summary.preset,
                "Contract": summary.contract,
                "Model": f"{scorer.config.model.kind}, {scorer.config.model.num_members} members",
            },
        )
    )


def _repeated_section(evidence: EvidenceDocuments) -> list[Section]:
    repeated = evidence.evaluation["repeated"]
    if repeated is None:
        return []
    rows = []
    for model, metrics in repeated["metrics"].items():
        auc, brier = metrics["cv/roc_auc"], metrics["cv/brier"]
        deviation = repeated["standard_deviations"][model]["cv/roc_auc"]
        rows.append(
            [
                readable(model),
                auc["value"],
                _range(auc),
                deviation,
                brier["value"],
                _range(brier),
            ]
        )
    columns: list[Column | str] = [
        "Model",
        Column("ROC-AUC", number=True, digits=3),
        Column("95 % interval", number=True),
        Column("SD over splits", number=True, digits=3),
        Column("Brier score", number=True, digits=3),
        Column("95 % interval", number=True),
    ]
    text = (
        f"A single test part of a table this small says little. These are means over {repeated['splits']} splits of "
        "repeated two-fold cross-validation, with intervals corrected for the overlap of the training halves (Nadeau "
        "and Bengio). The verdict rests on them. Nothing was selected on these splits, and nothing was recalibrated."
    )
    return [Section("Repeated splits", [Paragraph(text), Table(columns, rows, emphasis=(0,))])]


def _range(metric: Mapping[str, Any]) -> str:
    return interval(metric) or "–"


def _discrimination_section(evidence: EvidenceDocuments) -> Section:
    predictions = evidence.predictions
    y = predictions["defaulted"].to_numpy()
    scores = {readable(model): predictions[model].to_numpy() for model in predictions.columns[2:]}
    return Section(
        "Discrimination",
        [
            Figure(
                figures.roc(y, scores),
                "ROC curves on the test part; the area is in the legend.",
                "ROC curves",
            ),
            Figure(
                figures.precision_recall(y, scores),
                "Precision and recall for defaults on the test part.",
                "Precision-recall curves",
            ),
        ],
    )


def _calibration_section(evidence: EvidenceDocuments) -> Section:
    predictions, evaluation = evidence.predictions, evidence.evaluation
    ece = evaluation["metrics"][NETWORK]["test/ece"]["value"]
    floor = evaluation["ece_noise_floor"]
    rows = [
        [
            row["bin"] + 1,
            round(row["n"]),
            row["mean_predicted"],
            row["observed_rate"],
            interval(row),
        ]
        for row in evaluation["calibration_table"]
    ]
    text = (
        f"Calibrated on the validation part: {evidence.calibration_reason}. The calibration error on the test part is "
        f"{ece:.3f}; a perfectly calibrated model of this kind would show about {floor:.3f} by chance alone."
    )
    columns: list[Column | str] = [
        Column("Tenth", number=True),
        Column("Applicants", number=True),
        Column("Mean probability", number=True, digits=3),
        Column("Default rate", number=True, digits=3),
        Column("95 % interval", number=True),
    ]
    reliability = figures.reliability(predictions["defaulted"].to_numpy(), predictions[NETWORK].to_numpy())
    blocks: list[Block] = [
        Paragraph(text),
        Figure(reliability, "Observed default rate against predicted probability.", "Reliability diagram"),
        Table(columns, rows, "Calibration by tenth of the applicants, safest first"),
    ]
    return Section("Calibration", blocks)


def _decision_section(scorer: Scorer, evidence: EvidenceDocuments) -> Section:
    cut_off, rule = evidence.evaluation["cut_off"], scorer.rule
    predictions, decision = evidence.predictions, scorer.config.decision
    probability = predictions[NETWORK].to_numpy()
    thresholds, cost = cost_by_cut_off(predictions, scorer.config)
    total = sum(cut_off["decisions"].values())
    shares = ", ".join(f"{count / total:.0%} {name}" for name, count in cut_off["decisions"].items())
    approved_rate = cut_off["default_rate_of_approved"]
    facts = {
        "Cut-off (probability of default)": round(rule.cut_off, 4),
        "Cut-off in points": round(float(rule.points(np.array([rule.cut_off]))[0])),
        "Human review": f"{rule.cut_off - rule.review_band:.3f} to {rule.cut_off + rule.review_band:.3f}",
        "Cost of a missed default": f"{decision.cost_false_negative:g} x the cost of a wrong refusal",
        "Decisions on the test part": shares,
        "Default rate of the approved": None if approved_rate is None else f"{approved_rate:.1%}",
        "Cost per applicant, test": round(cut_off["test"]["cost_per_case"], 3),
        "Cheapest cut-off on validation": round(cut_off["validation_optimum"]["value"], 4),
        "Points": f"{rule.base_points:g} at {rule.base_odds:g}:1, {rule.points_to_double_odds:g} to double the odds",
    }
    cut_offs = {"cut-off": rule.cut_off}
    return Section(
        "Decision",
        [
            Paragraph(
                "The cut-off follows from the costs alone: with calibrated probabilities no other is cheaper. The "
                "cheapest one on the validation part is shown beside it as a check."
            ),
            KeyValues(facts),
            Figure(
                figures.score_distribution(
                    predictions["defaulted"].to_numpy(),
                    probability,
                    cut_offs=cut_offs,
                    class_names=("repaid", "defaulted"),
                    score_name="Probability of default",
                ),
                "Probabilities of those who repaid and those who defaulted, test part.",
                "Score distribution",
            ),
            Figure(
                figures.cost_curve(
                    thresholds,
                    {"network": cost},
                    chosen=rule.cut_off,
                    x="Cut-off (probability)",
                    unit="wrong refusals per applicant",
                ),
                "Cost per applicant over the cut-off, test part.",
                "Cost curve",
            ),
        ],
    )


def _fairness_sections(evidence: EvidenceDocuments) -> list[Section]:
    if not evidence.evaluation["fairness"]:
        return []
    blocks: list[Block] = [
        Paragraph(
            "Protected attributes are not inputs. At the chosen cut-off, approval rates, error rates and calibration "
            "are compared between groups on the test part. Separation asks for equal approval rates among those who "
            "repay (and among those who default); the four-fifths rule compares approval rates themselves."
        )
    ]
    for audit in evidence.evaluation["fairness"]:
        blocks += [group_table(audit), _gap_callout(audit)]
    return [Section("Fairness at the cut-off", blocks)]


def group_table(audit: Mapping[str, Any]) -> Table:
    def cell(group: Mapping[str, Any], name: str) -> str:
        metric = group[name]
        return "–" if metric["value"] is None else f"{metric['value']:.3f}\n{_range(metric)}"

    rows = [
        [
            group["group"],
            group["n"],
            cell(group, "selection_rate"),
            cell(group, "true_positive_rate"),
            cell(group, "false_positive_rate"),
            cell(group, "calibration_gap"),
            group["too_small"] or "",
        ]
        for group in sorted(audit["groups"], key=lambda group: not group["group"].startswith("up to"))
    ]
    columns: list[Column | str] = [
        _capital(audit["attribute"]),
        Column("Applicants", number=True),
        Column("Approved", number=True),
        Column("Approved of those who repay", number=True),
        Column("Approved of those who default", number=True),
        Column("Calibration gap (repayment)", number=True),
        "Note",
    ]
    return Table(columns, rows, f"By {audit['attribute']}, with 95 % intervals")


def _gap_callout(audit: Mapping[str, Any]) -> Callout:
    names = {
        "selection_ratio": "Four-fifths ratio",
        "equal_opportunity": "Approval gap among those who repay",
        "equalised_odds": "Largest gap in error rates",
    }
    parts, found = [], False
    for key, name in names.items():
        gap = audit["gaps"][key]
        if gap["value"] is None:
            parts.append(f"{name}: {gap['finding']}.")
            continue
        found = found or gap["finding"] == "gap"
        pair = f"{gap['lowest']} against {gap['highest']}"
        parts.append(f"{name} {estimate(gap)} ({interval(gap)}; {pair}): {gap['finding']}.")
    return Callout("warning" if found else "neutral", " ".join(parts), _capital(audit["attribute"]))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
