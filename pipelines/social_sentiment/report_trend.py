"""The part of the report about the question itself: what posts say, how it changes, and how far the count holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.social_sentiment.evidence import EvidenceDocuments
from pipelines.social_sentiment.figures import MOST_PANELS, shares_over_time
from pipelines.social_sentiment.prevalence import METHOD
from pipelines.social_sentiment.trend import LABELLED, TRUE
from pipelines.social_sentiment.wording import between, points, share
from shared.publishing.blocks import Block, Column, Details, Figure, Paragraph, Section, Table, Value, show

_NOT_DRAWN = "No post of the test has a time, so that there is no trend to show."
_READ = (
    "Band: 95 % interval of the corrected share; orange: labels counted; crosses: labels that people gave to the same "
    "posts"
)


def trend_section(evidence: EvidenceDocuments) -> Section:
    """Shares of the labels of all test posts, by day, and by day and topic; how far they are off."""
    document, shares = evidence.trend, evidence.shares
    blocks: list[Block] = [Paragraph(_text()), _overall_table(document["overall"])]
    if not shares.height:
        return Section("What posts say, and how it changes", [*blocks, Paragraph(_NOT_DRAWN)])
    labels = _most_frequent(shares, evidence.evaluation["labels"])
    known = " dotted: the shares that the generator drew from." if shares[TRUE].count() else ""
    blocks += [
        _errors_table(document),
        Figure(
            shares_over_time(shares, labels, [None]),
            f"All test posts, by day. {_READ}{';' if known else '.'}{known}",
            "Share of each label by day",
            wide=True,
        ),
    ]
    topics = _largest_topics(shares)
    if topics:
        drawn = shares_over_time(shares, labels[:3], topics)
        caption = f"The {len(topics)} topics with most posts, by day. {_READ}."
        figure = Figure(drawn, caption, "Share of each label by topic and day", wide=True)
        blocks.append(Details("By topic", [figure]))
    return Section("What posts say, and how it changes", blocks)


def _text() -> str:
    return (
        "Counting the labels that a model gives misstates how frequent they are: what it confuses is pulled towards "
        f"the mixture that it learnt. Shares are therefore corrected ({METHOD}). Their interval covers which posts "
        "happened to be written and how well the model was calibrated. Here both stand beside the labels that people "
        "gave to the same posts."
    )


def _overall_table(overall: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[list[Value]] = [
        [
            row["label"],
            f"{share(row['share'])}\n{between(row['share_low'], row['share_high'])}",
            f"{share(row['share_counted'])}\n{points(row['share_counted'] - row[LABELLED])}",
            share(row[LABELLED]),
            "yes" if row["share_low"] <= row[LABELLED] <= row["share_high"] else "no",
        ]
        for row in overall
    ]
    columns: list[Column | str] = [
        "Label",
        Column("Corrected share\n95 % interval", number=True),
        Column("Labels counted\nbeside people", number=True),
        Column("Labels that people gave", number=True),
        "Interval holds it",
    ]
    return Table(columns, rows, "All test posts together")


def _errors_table(document: Mapping[str, Any]) -> Table:
    rows: list[list[Value]] = []
    for part, title in (("by_day", "By day, all topics"), ("by_topic", "By day and topic")):
        found = document[part]
        for name, beside in (("labelled", "labels that people gave"), ("true", "truth of the generator")):
            if found and found[name]:
                errors = found[name]
                rows.append(
                    [
                        f"{title}\nbeside the {beside}",
                        found["rows"],
                        show(found["mean_posts"], 0),
                        points(errors["corrected"]).lstrip("+"),
                        points(errors["counted"]).lstrip("+"),
                        share(errors["covered"], 0),
                    ]
                )
    columns: list[Column | str] = [
        "Shares",
        Column("Number", number=True),
        Column("Posts behind one\nmean", number=True),
        Column("Corrected\nmean error", number=True),
        Column("Counted\nmean error", number=True),
        Column("Intervals that hold it\n95 % promised", number=True),
    ]
    note = (
        "Intervals also cover which posts happened to be written; the labels that people gave are of those that were. "
        "With few posts a day intervals are wide, and neither way of counting is good."
    )
    return Table(columns, rows, "How far shares are off", [note])


def _most_frequent(shares: pl.DataFrame, labels: Sequence[str]) -> list[str]:
    """At most so many labels as there is room for, those with the largest shares, in their own order."""
    sizes = dict(shares.group_by("label").agg(pl.col("share").mean()).iter_rows())
    chosen = sorted(labels, key=lambda label: -sizes.get(label, 0.0))[:MOST_PANELS]
    return [label for label in labels if label in chosen]


def _largest_topics(shares: pl.DataFrame) -> list[str]:
    counts = shares.filter(pl.col("topic").is_not_null()).group_by("topic").agg(pl.col("num_posts").sum())
    return counts.sort("num_posts", "topic", descending=[True, False])["topic"].head(MOST_PANELS).to_list()
