"""The parts of the report about single labels: what is confused, how sure it is, and what people should read."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.social_sentiment.evaluate import TITLES
from pipelines.social_sentiment.evidence import EvidenceDocuments
from pipelines.social_sentiment.figures import confusions, left_to_humans
from pipelines.social_sentiment.predictions import NETWORK
from pipelines.social_sentiment.wording import between, points, points_between, share
from shared.publishing.blocks import (
    Block,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    Value,
    estimate,
    interval,
    show,
)
from shared.publishing.figures import reliability

_SIZES = {"accuracy": "Accuracy", "macro_recall": "Macro-recall", "ece": "Calibration error"}


def labels_section(evidence: EvidenceDocuments) -> Section:
    """What is taken for what, recall and F1 of each label, and the same by topic and year."""
    evaluation = evidence.evaluation
    shown = [NETWORK, evaluation["verdict"]["best_baseline"]]
    matrices = {TITLES[model]: evaluation["confusion"][model] for model in shown}
    blocks: list[Block] = [
        Figure(
            confusions(matrices, evaluation["labels"]),
            "Of the posts of each label (rows) the share that was given each label (columns), and how many: the "
            "network and its strongest rival.",
            f"Confusion of labels by {' and by '.join(matrices)}",
            wide=True,
        ),
        _table_of_labels(evaluation),
    ]
    for part, title, what in (("by_topic", "By topic", "Topic"), ("by_year", "By year", "Year")):
        if len(evaluation[part]) > 1:
            blocks.append(_slices_table(evaluation[part], evaluation["labels"], title, what))
    return Section("Which labels are taken for which", blocks)


def probabilities_section(evidence: EvidenceDocuments) -> Section:
    """Reliability before and after the correction for other shares of labels, and what that changes."""
    shift, table = evidence.evaluation["shift"], evidence.table
    text = (
        f"Probabilities hold for posts in the mixture of labels of the calibration part. That of the test is "
        f"{show(shift['distance'], 2)} away from it (total variation, 0 to 1). Where the mixture differs they are off, "
        "until they are corrected for the shares that are estimated from the posts alone, without their labels."
    )
    drawn = [
        (("truth", "likeliest", "sure_network"), "As calibrated"),
        (("truth", "adapted", "sure_adapted"), "Corrected for the shares in the test"),
    ]
    figures = [
        Figure(
            reliability((table[truth] == table[said]).to_numpy().astype(int), table[sure].to_numpy()),
            f"{title}: how often the likeliest label is right, by its probability, with 95 % intervals. On the "
            "diagonal a probability can be taken at its word.",
            f"Reliability of the likeliest label, {title.lower()}",
        )
        for (truth, said, sure), title in drawn
    ]
    floor = show(evidence.evaluation["ece_noise_floor"], 3)
    mixture = _mixture_table(shift, evidence.evaluation["labels"])
    blocks: list[Block] = [Paragraph(text), _shift_table(shift, floor), *figures, mixture]
    return Section("How far probabilities can be believed", blocks)


def abstention_section(evidence: EvidenceDocuments) -> Section:
    """What is gained when people read the posts of which the network is least sure."""
    evaluation = evidence.evaluation
    found = evaluation["abstention"]
    limit = show(evidence.calibration["abstain_below"], 2)
    kept, recall = found["accuracy_kept"], found["macro_recall_kept"]
    text = (
        f"Posts less sure than {limit} are marked for a human; the limit was fixed on calibration posts. In the test "
        f"that is {share(found['abstained']['value'])} of the posts. Of the others {share(kept['value'])} are right "
        f"({between(kept['low'], kept['high'])}); macro-recall is {estimate(recall)} ({interval(recall)})."
    )
    figure = Figure(
        left_to_humans(evaluation["kept"], found["abstained"]["value"] or 0.0),
        "What holds of the posts that are kept, when the least sure ones are left to a human. Macro-recall falls "
        "where hardly a post of some label is left.",
        "Accuracy and macro-recall by share of posts left to a human",
    )
    return Section("What to leave to a human", [Paragraph(text), figure])


def _table_of_labels(evaluation: Mapping[str, Any]) -> Table:
    models = (NETWORK, evaluation["verdict"]["best_baseline"])
    columns: list[Column | str] = ["Label", Column("Posts", number=True)]
    columns += [
        Column(f"{TITLES[model]}\n{name}", number=True) for name in ("recall", "F1") for model in models
    ]
    rows: list[list[Value]] = []
    for label in evaluation["labels"]:
        names = (f"test/recall_{label}", f"test/f1_{label}")
        found = [evaluation["metrics"][model][name] for name in names for model in models]
        posts = evaluation["counts"]["labels"][label]
        rows.append([label, posts, *(f"{estimate(metric)}\n{interval(metric)}" for metric in found)])
    return Table(columns, rows, "Each label, the network and its strongest rival, with 95 % intervals")


def _slices_table(slices: Sequence[Mapping[str, Any]], labels: Sequence[str], title: str, what: str) -> Table:
    columns: list[Column | str] = [what, Column("Posts", number=True)]
    columns += [Column(name, number=True) for name in ("Macro-recall", "Accuracy")]
    columns += [Column(f"Recall\n{label}", number=True, digits=3) for label in labels]
    columns += [Column(f"Share\n{label}", number=True) for label in labels]
    rows: list[list[Value]] = [
        [
            one["name"],
            one["posts"],
            *(f"{estimate(one[name])}\n{interval(one[name])}" for name in ("macro_recall", "accuracy")),
            *(one["recalls"][label] for label in labels),
            *(share(one["shares"][label], 0) for label in labels),
        ]
        for one in slices
    ]
    return Table(columns, rows, title, ["Slices of fewer than 30 posts are left out."])


def _shift_table(shift: Mapping[str, Any], floor: str) -> Table:
    rows: list[list[Value]] = [
        [title, *(f"{estimate(shift[when][name])}\n{interval(shift[when][name])}" for name in _SIZES)]
        for when, title in (("before", "As calibrated"), ("after", "Corrected for the shares in the test"))
    ]
    gain = shift["accuracy_gain"]
    notes = [
        "Of the likeliest label, which is not the label given where that is chosen by recall. Calibration error: mean "
        f"distance of the share that is right from the probability; {floor} is what perfect probabilities would show "
        "with so few posts.",
        f"The correction changes accuracy by {points(gain['difference'])} "
        f"({points_between(gain['low'], gain['high'])}).",
    ]
    columns: list[Column | str] = [
        "Probabilities",
        *(Column(title, number=True) for title in _SIZES.values()),
    ]
    return Table(columns, rows, "Before and after the correction", notes)


def _mixture_table(shift: Mapping[str, Any], labels: Sequence[str]) -> Table:
    rows = [[label, share(shift["prior"][label]), share(shift["test"][label])] for label in labels]
    columns: list[Column | str] = ["Label"]
    columns += [Column(title, number=True) for title in ("Of the calibration posts", "Of the test posts")]
    return Table(columns, rows, "Mixture of labels")
