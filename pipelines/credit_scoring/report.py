"""What a run says of itself: summary, model card, and the validation report that a lender can file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.credit_scoring import baselines
from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.evaluate import NETWORK, cost_by_cut_off
from pipelines.credit_scoring.reasons import value_text
from pipelines.credit_scoring.schema import NumericColumn
from pipelines.credit_scoring.score import Scorer
from shared.publishing import explanation_figures, figures, run_figures
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    KeyValues,
    Kind,
    Paragraph,
    Report,
    Section,
    Table,
)
from shared.publishing.environment import environment
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.report import render
from shared.publishing.standard import readable, results_section, run_section
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary

QUESTION = "Will this applicant default, why, and can the lender defend the decision?"
TITLES = {
    "test/roc_auc": "ROC-AUC",
    "test/brier": "Brier score",
    "test/ks": "KS",
    "test/ece": "Calibration error (ECE)",
    "test/average_precision": "Average precision",
    "test/gini": "Gini",
    "test/log_loss": "Log loss",
}
_LIMITS = (
    "Only applicants whose credit was granted have an outcome. Without reject inference the estimates do not hold "
    "for people who used to be refused.",
    "The model knows associations, not causes: a reason names what the estimate rests on, and a recourse what would "
    "change the estimate, not what would change the person's fate.",
    "Protected attributes are never inputs, but other columns can stand in for them. The audit by group measures "
    "that; it does not remove it.",
    "Reasons are drafts for an adverse-action notice. A compliance officer decides whether the phrases fit the law.",
)


@dataclass(frozen=True, slots=True)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the two tables behind it."""

    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    predictions: pl.DataFrame
    contributions: pl.DataFrame
    training: Mapping[str, Any]
    calibration_reason: str
    quarantine: pl.DataFrame | None
    notes: Sequence[str]
    split: str
    audit: Sequence[str]
    audit_checks: Sequence[str]


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: CreditConfig
) -> RunSummary:
    """The summary of a run before its model is published."""
    evaluation, attribution = evidence.evaluation, evidence.explanation["attribution"]
    metrics = {model: dict(by_name) for model, by_name in evaluation["metrics"].items()}
    for model, by_name in (evaluation["repeated"] or {"metrics": {}})["metrics"].items():
        metrics[model] |= by_name
    return RunSummary(
        pipeline="credit_scoring",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=metrics[NETWORK],
        baselines={name: metrics[name] for name in baselines.NAMES},
        verdict=evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary(
            method=attribution["method"],
            completeness_error=attribution["completeness_error"],
            faithful=attribution["faithful"],
        ),
        training=TrainingSummary(
            device=evidence.training["device"],
            samples_per_second=evidence.training["samples_per_second"],
            epochs=evidence.training["epochs"],
            seconds=evidence.training["seconds"],
        ),
    )


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
        _explanation_section(scorer, evidence, test),
        *_recourse_section(scorer, evidence),
        _data_section(evidence),
        _training_section(evidence),
        run_section(summary),
        Section("Limits and misuse", [Bullets(list(_LIMITS))]),
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
    if metric["low"] is None:
        return "–"
    return f"{metric['low']:.3f} to {metric['high']:.3f}"


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
            f"{row['low']:.3f} to {row['high']:.3f}",
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
                    unit="per applicant",
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
        blocks += [_group_table(audit), _gap_callout(audit)]
    return [Section("Fairness at the cut-off", blocks)]


def _group_table(audit: Mapping[str, Any]) -> Table:
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
        for group in audit["groups"]
    ]
    columns: list[Column | str] = [
        audit["attribute"][:1].upper() + audit["attribute"][1:],
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
        "selection_ratio": "four-fifths ratio",
        "equal_opportunity": "approval gap among those who repay",
        "equalised_odds": "largest gap in error rates",
    }
    parts, found = [], False
    for key, name in names.items():
        gap = audit["gaps"][key]
        if gap["value"] is None:
            parts.append(f"{name}: {gap['finding']}")
            continue
        found = found or gap["finding"] == "gap"
        pair = f"{gap['lowest']} against {gap['highest']}"
        parts.append(
            f"{name} {gap['value']:.2f} ({gap['low']:.2f} to {gap['high']:.2f}; {pair}): {gap['finding']}"
        )
    return Callout("warning" if found else "neutral", ". ".join(parts) + ".", audit["attribute"])


def _explanation_section(scorer: Scorer, evidence: EvidenceDocuments, test: pl.DataFrame) -> Section:
    document = evidence.explanation
    attribution = document["attribution"]
    names = evidence.contributions.columns[1:]
    values = evidence.contributions.select(names).to_numpy()
    titles = [scorer.schema.feature(name).title for name in names]
    rows = test[: len(values)]
    blocks: list[Block] = [
        Paragraph(
            f"Explained is the calibrated log-odds of default of {len(values)} test applicants against "
            f"{attribution['baseline']}. Positive values speak against the applicant; one unit is "
            f"{scorer.rule.points_per_log_odds:.1f} points."
        ),
        Callout(
            "good" if attribution["faithful"] else "bad",
            attribution["warning"] or _checks_text(attribution, document),
            "Checks passed" if attribution["faithful"] else "Checks failed",
        ),
        Figure(
            explanation_figures.importance_bars(titles, values, unit="log-odds"),
            "Mean absolute contribution to the log-odds of default.",
            "Importance of the columns",
        ),
        Figure(
            explanation_figures.beeswarm(titles, values, _numbers(scorer, rows, names), unit="log-odds"),
            "Each dot is an applicant; colour is the value of the column, grey where it is no number.",
            "Contributions by column",
        ),
    ]
    blocks += [_example(scorer, rows, values, names, name, row) for name, row in document["examples"].items()]
    if document["stability"]:
        blocks.append(Paragraph(_stability_text(document["stability"])))
    return Section("Explanation", blocks)


def _numbers(scorer: Scorer, rows: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    columns = []
    for name in names:
        column = scorer.schema.feature(name)
        values = np.full(len(rows), np.nan)
        if isinstance(column, NumericColumn):
            values = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            values = np.where(np.isin(values, list(column.special_codes)), np.nan, values)
        columns.append(values)
    return np.stack(columns, axis=1)


def _example(
    scorer: Scorer, rows: pl.DataFrame, values: np.ndarray, names: Sequence[str], what: str, row: int
) -> Details:
    applicant = rows[row : row + 1]
    shown = [value_text(scorer.schema.feature(name), applicant[name][0]).split(": ", 1)[1] for name in names]
    explained = scorer.explain(applicant)
    decision = scorer.score(applicant).row(0, named=True)
    reasons = [decision[f"reason_{i}_text"] for i in range(1, 5) if decision[f"reason_{i}_text"]]
    svg = explanation_figures.waterfall(
        [scorer.schema.feature(name).title for name in names],
        values[row],
        base_value=float(np.asarray(explained.base_value)),
        unit="log-odds",
        values=shown,
    )
    blocks: list[Block] = [
        KeyValues(
            {
                "Application": decision["application_id"],
                "Probability of default": decision["probability_of_default"],
                "Points": decision["score_points"],
                "Decision": decision["decision"],
            }
        ),
        Figure(svg, "From the reference applicants to this one, log-odds of default.", f"Waterfall, {what}"),
    ]
    if reasons:
        blocks += [Paragraph("Reasons in the letter:"), Bullets(reasons)]
    return Details(f"An applicant of {what}" if "risk" in what else f"An applicant {what}", blocks)


def _checks_text(attribution: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    checks = attribution["faithfulness"]
    parts = [
        f"Contributions add up to the output within {attribution['completeness_error']:.1e} log-odds",
        f"removing columns in this order moves the output faster than a random order by "
        f"{checks['deletion_gain']['value']:.2f} log-odds ({checks['deletion_gain']['low']:.2f} to "
        f"{checks['deletion_gain']['high']:.2f})",
        f"rank correlation with a network of random weights {checks['randomisation_spearman']:.2f}",
        f"with sampled Shapley values of the same network {document['shapley']['spearman']:.2f}",
    ]
    if document["truth"]:
        parts.append(
            f"with the true causal effects of the generator {document['truth']['per_applicant']:.2f} per applicant, "
            f"{document['truth']['importance']:.2f} for the importance of columns"
        )
    return "; ".join(parts) + "."


def _stability_text(stability: Mapping[str, Any]) -> str:
    return (
        f"Stability: trained again with {stability['retrained']} other seeds, the first reason changes for "
        f"{stability['flip_rate']:.1%} of {stability['applicants']} applicants who were not approved; all reasons "
        f"together overlap by {stability['overlap']:.0%}."
    )


def _recourse_section(scorer: Scorer, evidence: EvidenceDocuments) -> list[Section]:
    recourse = evidence.explanation["recourse"]
    if recourse is None:
        return []
    text = (
        f"For {recourse['with_recourse']} of {recourse['declined']} declined applicants a change of one "
        f"({recourse['one_change']}) or two columns that they can influence leads to approval by this model."
    )
    if "lowers_true_risk" in recourse:
        text += f" On the generator, {recourse['lowers_true_risk']:.0%} of these changes lower the true risk as well."
    rows = [
        [
            example["application_id"],
            example["probability"],
            example["new_probability"],
            _change_text(scorer, name, values),
        ]
        for example in recourse["examples"]
        for name, values in example["changes"].items()
    ]
    columns: list[Column | str] = [
        "Application",
        Column("Probability now", number=True, digits=3),
        Column("After", number=True, digits=3),
        "Change",
    ]
    return [
        Section("Recourse", [Paragraph(text), Table(columns, rows, "Examples: one line a changed column")])
    ]


def _change_text(scorer: Scorer, name: str, values: Sequence[Any]) -> str:
    column = scorer.schema.feature(name)
    before, after = (value_text(column, value).split(": ", 1)[1] for value in values)
    return f"{column.title}: {before} to {after}"


def _data_section(evidence: EvidenceDocuments) -> Section:
    clean = "no leak found" if not evidence.audit else " ".join(evidence.audit)
    blocks: list[Block] = [
        KeyValues(
            {
                "Split": evidence.split,
                "Leak audit": f"{clean} (looked for: {', '.join(readable(c).lower() for c in evidence.audit_checks)})",
            }
        ),
    ]
    if evidence.notes:
        blocks.append(Bullets(list(evidence.notes)))
    if evidence.quarantine is not None:
        shown = evidence.quarantine.select("row_number", "broken_rules")[:10]
        rows = [[row["row_number"], row["broken_rules"]] for row in shown.to_dicts()]
        blocks.append(Table([Column("Row", number=True), "Broken rules"], rows, "First rows in quarantine"))
    return Section("Data", blocks)


def _training_section(evidence: EvidenceDocuments) -> Section:
    training = evidence.training
    curve = run_figures.training_curves(
        [
            {"epoch": row["epoch"], "train/loss": row["train_loss"], "validation/loss": row["loss"]}
            for row in training["history"]
        ],
        best_epoch=training["best_epoch"],
    )
    text = (
        f"{training['epochs']} epochs on {training['device']}, {training['precision']}, {training['tier']} "
        f"({training['tier_reason']}). The epoch of the lowest validation log loss was kept."
    )
    return Section(
        "Training", [Paragraph(text), Figure(curve, "Log loss by epoch, nats.", "Training curves")]
    )


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    document = evidence.explanation
    protected = ", ".join(column.title for column in scorer.schema.protected) or "none given"
    fairness: list[str | Table] = [_group_table(audit) for audit in evidence.evaluation["fairness"]]
    explanation: list[str | Table] = [_checks_text(document["attribution"], document)]
    if document["stability"]:
        explanation.append(_stability_text(document["stability"]))
    return model_card(
        CardFacts(
            title="Credit scoring: probability of default",
            question=QUESTION,
            details={
                "Kind": scorer.config.model.kind,
                "Members": scorer.config.model.num_members,
                "Inputs": len(scorer.schema.features),
            },
            intended_use=[
                "Estimating the probability of default of applicants like those in the training table, with "
                "reasons, for a lender's decision that a person can review."
            ],
            out_of_scope=[
                "Fully automatic refusal without a person to turn to.",
                "Applicants of another product, market or period than the training table.",
                "Any purpose other than credit, such as insurance, employment or housing.",
            ],
            factors=[f"Protected attributes audited: {protected}. None is an input."],
            split=[f"Split {evidence.split}."],
            calibration=[f"{evidence.calibration_reason}."],
            fairness=fairness,
            explanation=explanation,
            limits=list(_LIMITS),
            environment=environment(),
            reproduce=f"fieldwork run credit_scoring --preset {summary.preset} --data {summary.source}",
        ),
        summary,
        TITLES,
    )
