"""The part of the report that says how each model was chosen: trials on validation, and how the networks learnt."""

from collections.abc import Mapping
from typing import Any

from pipelines.recommender.config import NEURAL
from pipelines.recommender.evaluate import HEADLINE
from pipelines.recommender.evidence import EvidenceDocuments
from pipelines.recommender.rankers import TITLES
from shared.publishing.blocks import Block, Bullets, Column, Details, Paragraph, Section, Table, Value, show
from shared.publishing.standard import training_section

ABOUT = {
    "popularity": "what most users had, the same for everybody",
    "item_knn": "items that the same users had as those in the history",
    "ease": "the best linear model from items to items, in closed form",
    "ials": "vectors of users and items by weighted least squares over all pairs",
    "mf": "dot product of vectors, trained with drawn negatives like the networks",
    "gmf": "a weighted dot product of vectors",
    "mlp": "a tower of layers over both vectors",
    "neumf_scratch": "GMF and MLP under one output, from random weights",
    "neumf": "the same, starting from the trained GMF and MLP",
    "hybrid": "NeuMF whose vectors are helped by attributes",
}


def choice_section(evidence: EvidenceDocuments) -> Section:
    """Trials, the best of each model, and training curves."""
    num_trials = sum(len(model["trials"]) for model in evidence.selection.values())
    blocks: list[Block] = [
        Paragraph(
            f"Trials: {num_trials}, each judged by NDCG@20 on the validation part. What was best was fitted again on "
            "training and validation together, networks for as many epochs as were best."
        ),
        _chosen_table(evidence),
        Details("All trials", [_trials_table(evidence)]),
        *_missing(evidence.evaluation["not_trained"]),
        *_training_blocks(evidence),
    ]
    return Section("How each model was chosen", blocks)


def _kinds(evidence: EvidenceDocuments) -> list[str]:
    return [kind for kind in TITLES if kind in evidence.selection]


def _chosen_table(evidence: EvidenceDocuments) -> Table:
    rows: list[list[Value]] = []
    for kind in _kinds(evidence):
        model = evidence.selection[kind]
        values = [trial[HEADLINE] for trial in model["trials"]]
        rows.append(
            [
                f"{TITLES[kind]}\n{ABOUT[kind]}",
                len(values),
                knobs_text(model["best"]["knobs"]),
                model["best"]["epochs"] or None,
                model["best"][HEADLINE],
                min(values) if len(values) > 1 else None,
            ]
        )
    columns: list[Column | str] = [
        "Model",
        Column("Trials", number=True),
        "Chosen",
        Column("Epochs", number=True),
        Column("NDCG@20, best trial", number=True, digits=3),
        Column("Worst trial", number=True, digits=3),
    ]
    best = max(range(len(rows)), key=lambda row: evidence.selection[_kinds(evidence)[row]]["best"][HEADLINE])
    return Table(columns, rows, "The best trial of each model on validation", emphasis=(best,))


def _trials_table(evidence: EvidenceDocuments) -> Table:
    rows: list[list[Value]] = []
    chosen = []
    for kind in _kinds(evidence):
        model = evidence.selection[kind]
        for trial in model["trials"]:
            if trial == model["best"]:
                chosen.append(len(rows))
            rows.append([TITLES[kind], knobs_text(trial["knobs"]), trial["epochs"] or None, trial[HEADLINE]])
    columns: list[Column | str] = [
        "Model",
        "Knobs",
        Column("Epochs", number=True),
        Column("NDCG@20, validation", number=True, digits=4),
    ]
    return Table(columns, rows, "Every trial; what was chosen stands out", emphasis=chosen)


def knobs_text(knobs: Mapping[str, float]) -> str | None:
    """Knobs of a trial in words."""
    named = (f"{name.removeprefix('num_').replace('_', ' ')} {show(value)}" for name, value in knobs.items())
    return ", ".join(named) or None


def _missing(reasons: Mapping[str, str]) -> list[Block]:
    found = [f"{TITLES[kind]} was not trained: {reason}." for kind, reason in reasons.items()]
    return [Bullets(found)] if found else []


def _training_blocks(evidence: EvidenceDocuments) -> list[Block]:
    trained = {kind: evidence.selection[kind]["training"] for kind in _kinds(evidence)}
    trained = {kind: training for kind, training in trained.items() if training}
    if not trained:
        return []
    kind = evidence.evaluation["network"] or next(iter(trained))
    section = training_section(
        _with_title(trained[kind]),
        kept="The epoch of the best validation NDCG@20 was kept.",
        caption=f"{TITLES[kind]}: cross-entropy of training in nats, and NDCG@20 on validation, by epoch.",
        validation=("NDCG@20",),
    )
    what = "the best network" if kind in NEURAL else "trained like the networks"
    return [Paragraph(f"How {TITLES[kind]} learnt, {what}:"), *section.blocks, _training_table(trained)]


def _with_title(training: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the metric under the name that stands above its curve."""
    return {**training, "history": [{**row, "NDCG@20": row[HEADLINE]} for row in training["history"]]}


def _training_table(trained: Mapping[str, Mapping[str, Any]]) -> Table:
    rows: list[list[Value]] = [
        [
            TITLES[kind],
            training["epochs"],
            training["best_epoch"] + 1,
            "no better epoch came"
            if training["stopped_because"] == "early_stopping"
            else "the epochs were up",
            training["history"][-1]["train_loss"],
            round(training["samples_per_second"]),
            training["seconds"],
        ]
        for kind, training in trained.items()
    ]
    columns: list[Column | str] = [
        "Model",
        Column("Epochs", number=True),
        Column("Best", number=True),
        "Ended because",
        Column("Last training loss, nats", number=True, digits=3),
        Column("Samples/s", number=True),
        Column("Seconds", number=True, digits=1),
    ]
    notes = ["Of the trial that was chosen. The loss of pre-trained NeuMF starts where GMF and MLP ended."]
    return Table(columns, rows, "Training of each model that learns by gradient", notes)
