"""The part of the report that says why: importance, single applicants, checks, stability, recourse."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.credit_scoring.evidence import EvidenceDocuments
from pipelines.credit_scoring.features import floats
from pipelines.credit_scoring.reasons import value_text
from pipelines.credit_scoring.schema import NumericColumn
from pipelines.credit_scoring.score import Scorer
from shared.publishing import explanation_figures
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    KeyValues,
    Paragraph,
    Section,
    Table,
)


def explanation_section(scorer: Scorer, evidence: EvidenceDocuments, test: pl.DataFrame) -> Section:
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
            attribution["warning"] or checks_text(attribution, document),
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
        blocks.append(Paragraph(stability_text(document["stability"])))
    return Section("Explanation", blocks)


def _numbers(scorer: Scorer, rows: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    columns = []
    for name in names:
        column = scorer.schema.feature(name)
        values = np.full(len(rows), np.nan)
        if isinstance(column, NumericColumn):
            values = floats(rows[name])
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


def checks_text(attribution: Mapping[str, Any], document: Mapping[str, Any]) -> str:
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


def stability_text(stability: Mapping[str, Any]) -> str:
    return (
        f"Stability: trained again with {stability['retrained']} other seeds, the first reason changes for "
        f"{stability['flip_rate']:.1%} of {stability['applicants']} applicants who were not approved; all reasons "
        f"together overlap by {stability['overlap']:.0%}."
    )


def recourse_section(scorer: Scorer, evidence: EvidenceDocuments) -> list[Section]:
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
