"""The part of the report about explanations: how far they hold, and what they say about the strongest alerts."""

from collections.abc import Mapping
from typing import Any

from pipelines.fraud_detection.evidence import EvidenceDocuments
from pipelines.fraud_detection.reasons import title_of
from pipelines.fraud_detection.score import Scorer
from shared.publishing.blocks import Block, Callout, Column, Details, Figure, Kind, Section, Table, show
from shared.publishing.explanation_figures import beeswarm, waterfall


def explanation_section(scorer: Scorer, evidence: EvidenceDocuments) -> Section:
    """Checks, an overview of all explained transactions, the strongest alerts one by one."""
    document = evidence.explanation
    attribution = document["attribution"]
    kind: Kind = "good" if attribution["faithful"] else "warning"
    blocks: list[Block] = [
        Callout(kind, attribution["warning"] or checks_text(document), "How far the explanations hold"),
        _overview(evidence, attribution),
        _planted(document["planted"]),
    ]
    blocks += [_example(scorer, example, attribution) for example in document["examples"]]
    return Section("Explanations", blocks)


def checks_text(document: Mapping[str, Any]) -> str:
    """The outcome of all checks in words."""
    attribution, checks = document["attribution"], document["attribution"]["faithfulness"]
    unit = attribution["unit"]
    planted = document["planted"]
    parts = [
        f"{attribution['method']} against {attribution['baseline']}; they sum to the score up to "
        f"{show(attribution['completeness_error'])} {unit}",
        f"removing the strongest features first moves the score by {show(checks['deletion_gain']['value'], 2)} {unit} "
        f"more than a random order ({show(checks['deletion_gain']['low'], 2)} to "
        f"{show(checks['deletion_gain']['high'], 2)})",
        f"rank correlation with networks of random weights {show(checks['randomisation_spearman'], 2)}, of two "
        f"samplings with each other {show(document['sampling']['spearman'], 2)}",
        f"of anomalies planted into one feature, that feature ranks first in {planted['contribution']:.0%} of cases, "
        f"and in {planted['error']:.0%} by reconstruction error alone",
    ]
    if document["truth"]:
        parts.append(
            f"of {document['truth']['rows']} generated frauds, the strongest feature is of the kind that the fraud "
            f"moved in {document['truth']['share']:.0%}"
        )
    return "; ".join(parts) + "."


def _overview(evidence: EvidenceDocuments, attribution: Mapping[str, Any]) -> Figure:
    names = list(attribution["importance"])
    table = evidence.contributions
    values = table.select(names).to_numpy()
    given = table.select(f"{name}/value" for name in names).to_numpy()
    return Figure(
        beeswarm([title_of(name) for name in names], values, given, unit=attribution["unit"]),
        f"What each feature adds to the score of {len(values)} test transactions, half of them the most suspicious.",
        "Attributions by feature",
    )


def _planted(planted: Mapping[str, Any]) -> Details:
    columns: list[Column | str] = [
        "Planted into",
        Column("First by contribution", number=True, digits=2),
        Column("First by reconstruction error", number=True, digits=2),
    ]
    rows = [
        [title_of(name), found["contribution"], found["error"]] for name, found in planted["features"].items()
    ]
    note = (
        f"{planted['rows']} genuine transactions, one feature moved to {show(planted['at'])} standard deviations. An "
        "autoencoder that rebuilds a planted value, because other features follow from it, shows the error at those "
        "others: the reconstruction error points to the wrong feature there."
    )
    return Details(
        "Planted anomalies", [Table(columns, rows, "Share of cases with the planted feature first", [note])]
    )


def _example(scorer: Scorer, example: Mapping[str, Any], attribution: Mapping[str, Any]) -> Details:
    features = example["features"]
    truth = {1: ", a fraud", 0: ", genuine"}.get(example["is_fraud"], "")
    figure = waterfall(
        [feature["title"].replace(" days", " d").replace(" day", " d") for feature in features],
        [feature["contribution"] for feature in features],
        base_value=example["base_value"],
        unit=attribution["unit"],
        values=[feature["value"] for feature in features],
    )
    strongest = sorted(features, key=lambda feature: -feature["error"])[:5]
    columns: list[Column | str] = [
        "Feature",
        Column("Is", number=True),
        Column("Would be normal", number=True),
        Column("Reconstruction error", number=True, digits=2),
    ]
    rows = [[feature[key] for key in ("title", "value", "normal", "error")] for feature in strongest]
    alt = f"What each feature adds to the score of transaction {example['transaction_id']}"
    return Details(
        f"Transaction {example['transaction_id']}{truth}",
        [
            Figure(figure, f"{alt}.", alt),
            Table(columns, rows, "The strongest reconstruction errors", [_sum_note(example)]),
        ],
    )


def _sum_note(example: Mapping[str, Any]) -> str:
    return (
        f"The errors of all features sum to the score of the autoencoder, {show(example['anomaly'])}; 1 is usual for "
        "genuine transactions."
    )
