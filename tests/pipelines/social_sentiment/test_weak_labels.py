"""Labels from emoji: where they are clear, never in the text that is learnt from."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.config import DataConfig
from pipelines.social_sentiment.ingest import read_posts
from pipelines.social_sentiment.schema import LABELS, Posts
from pipelines.social_sentiment.weak_labels import label_by_emoji
from shared.errors import RequestError


def labelled(texts: list[str], labels: list[str | None] | None = None) -> pl.DataFrame:
    label = pl.Series("label", labels or [None] * len(texts), dtype=pl.String)
    return label_by_emoji(Posts(pl.DataFrame({"text": texts}).with_columns(label), LABELS)).frame


@pytest.mark.parametrize(
    ("text", "label", "left"),
    [
        ("we won 😍😍 today", "positive", "we won today"),
        ("well done 👍🏽", "positive", "well done"),
        ("i ❤️ it", "positive", "i it"),
        ("so late 😡", "negative", "so late"),
        ("late again :(", "negative", "late again"),
        ("fine :) :-)) <3", "positive", "fine"),
        ("he left 🤦🏽‍♀️ me", "negative", "he left me"),
        ("good 😍 and bad 😡", None, "good 😍 and bad 😡"),
        ("can't stop 😂😂", None, "can't stop 😂😂"),
        ("(see: figure 3:)", None, "(see: figure 3:)"),
        ("😍", None, "😍"),
        ("nothing to see", None, "nothing to see"),
    ],
    ids=["faces", "skin tone", "heart", "anger", "emoticon", "emoticons", "joined", "both", "ambiguous", "no emoticon",
         "emoji alone", "none"],
)  # fmt: skip
def test_a_label_is_taken_where_the_mood_is_clear_and_what_gave_it_is_taken_out(text, label, left):
    frame = labelled([text])
    assert frame.row(0) == (left, label, label is not None)


def test_labels_that_people_gave_and_their_texts_stay():
    assert labelled(["so late 😡"], ["positive"]).row(0) == ("so late 😡", "positive", False)


@given(
    st.lists(
        st.sampled_from(["😍", "😡", "👍🏽", ":)", ":(", "<3", "ok", "🤦‍♀️", "❤️"]), min_size=1, max_size=8
    ).map(" ".join)
)
def test_nothing_that_gives_a_label_is_left_in_a_weakly_labelled_text(text):
    first = labelled([text])
    if first["is_weak"][0]:
        assert not labelled([first["text"][0]])["is_weak"][0]


def test_weak_labels_are_counted_and_come_only_when_asked_for(tmp_path):
    texts = ["good day 😍", "what a day", *[f"post {row}" for row in range(30)]]
    path = tmp_path / "posts.csv"
    pl.DataFrame({"text": texts, "label": [None, None, *[LABELS[row % 3] for row in range(30)]]}).write_csv(
        path
    )
    without = read_posts(str(path), DataConfig(), 0).posts
    assert not without.frame["is_weak"].any()
    posts = read_posts(str(path), DataConfig(weak_labels="emoji"), 0).posts
    assert posts.frame["is_weak"].sum() == 1
    assert posts.notes[-1] == "1 of 2 posts without a label have that of their emoji (weak labels)."


def test_a_task_without_these_labels_is_refused():
    frame = pl.DataFrame({"text": ["a"], "label": ["joy"]})
    with pytest.raises(RequestError, match="negative and positive"):
        label_by_emoji(Posts(frame, ("anger", "joy")))
