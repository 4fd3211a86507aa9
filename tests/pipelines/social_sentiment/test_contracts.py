"""The contracts of the domain say what goes in and out, for any task."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.social_sentiment.schema import (
    COLUMNS,
    CONTRACT,
    LABELS,
    TREND_CONTRACT,
    input_contract,
    output_contract,
    probability_column,
)
from shared.contracts.contract import load, parse
from shared.contracts.table import check_table

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STAMPS = {"model_version": "social_sentiment/3", "contract": "social_posts@1.0.0", "scored_at": NOW}


def test_the_columns_that_the_code_names_are_those_of_the_contract():
    assert load(CONTRACT).column_names == COLUMNS
    assert input_contract(LABELS).column_names == COLUMNS


def test_a_label_of_another_task_goes_into_quarantine():
    posts = pl.DataFrame(
        {"post_id": [f"p{row}" for row in range(40)], "text": "hello", "label": ["joy"] + ["sad"] * 39}
    )
    checked = check_table(posts, input_contract(("angry", "sad")))
    assert checked.quarantined["broken_rules"].str.contains("label: valid_values").all()
    assert checked.valid.height == 39
    assert checked.contract.id_version == "social_posts@1.0.0+angry-sad"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (" \t\n", "pattern"),
        ("\u200b\u200d\ufeff", "pattern"),
        ("a\x00b", "pattern"),
        ("a" * 10_001, "length"),
        (None, "required"),
    ],
    ids=["blank", "invisible", "NUL", "too long", "missing"],
)
def test_texts_that_nobody_could_read_go_into_quarantine(text, rule):
    posts = pl.DataFrame({"post_id": [f"p{row}" for row in range(30)], "text": [text] + ["fine"] * 29})
    checked = check_table(posts, load(CONTRACT))
    assert checked.quarantined.height == 1
    assert f"text: {rule}" in checked.quarantined["broken_rules"][0]


def test_a_name_of_an_author_never_passes_the_contract_of_a_run():
    posts = pl.DataFrame({"post_id": ["1"], "text": ["hello"], "author": ["Jane Doe"]})
    assert check_table(posts, load(CONTRACT)).passed, "it is what users have"
    assert check_table(posts, input_contract(LABELS)).valid.is_empty()


@pytest.mark.parametrize("labels", [LABELS, ("❤", "😍", "😂")], ids=["sentiment", "emoji"])
def test_every_label_of_a_task_has_a_column_of_probabilities(labels):
    contract = output_contract(labels)
    row = {"post_id": "p1", "label": labels[0], "abstain": False, "deciding_words": None, **STAMPS}
    frame = pl.DataFrame([row | {probability_column(label): 1 / 3 for label in labels}])
    assert check_table(frame, contract).require().height == 1
    too_large = frame.with_columns(pl.lit(1.5).alias(probability_column(labels[1])))
    assert check_table(too_large, contract).valid.is_empty()
    assert parse(contract.document()) == contract


def test_a_trend_has_a_null_topic_for_all_posts_and_no_day_without_posts():
    row = {
        "topic": None, "day": date(2026, 1, 1), "label": "negative", "num_posts": 12, "share": 0.3, "share_low": 0.1,
        "share_high": 0.5, "share_counted": 0.25, "method": "adjusted count", **STAMPS,
    }  # fmt: skip
    frame = pl.DataFrame([row], schema_overrides={"topic": pl.String})
    assert check_table(frame, load(TREND_CONTRACT)).require().height == 1
    assert check_table(frame.with_columns(num_posts=pl.lit(0)), load(TREND_CONTRACT)).valid.is_empty()
