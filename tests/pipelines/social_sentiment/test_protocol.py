"""Parts that do not know each other, and an audit that finds it when they do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.social_sentiment.audit import audit_division, mixture_shift
from pipelines.social_sentiment.config import DataConfig, ProtocolConfig
from pipelines.social_sentiment.ingest import read_posts
from pipelines.social_sentiment.protocol import (
    NO_LABEL,
    NO_PART,
    SAME_AUTHOR,
    SAYS_CALIBRATION,
    SAYS_TEST,
    TOO_LATE,
    WEAK,
    Division,
    divide,
)
from pipelines.social_sentiment.schema import LABELS, Posts
from shared.data.audit import AuditReport
from shared.errors import FieldworkError, RequestError

START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = ProtocolConfig()
WORDS = (
    "lorem",
    "ipsum",
    "dolor",
    "amet",
    "magna",
    "velit",
    "nulla",
    "porta",
    "risus",
    "augue",
    "massa",
    "felis",
)


def some_posts(rows: int = 120, **columns) -> Posts:
    """Posts of different texts, labels in turn; null time, author and part unless given."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "post_id": [f"p{row}" for row in range(rows)],
            "text": [" ".join(random.choice(WORDS, 12)) + f" {row}" for row in range(rows)],
            "label": [LABELS[row % 3] for row in range(rows)],
            "is_weak": [False] * rows,
            **columns,
        },
        schema_overrides={"label": pl.String},
    )
    dtypes = {"time": pl.Datetime("us", "UTC"), "author": pl.String, "part": pl.String, "language": pl.String}
    lacking = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in dtypes.items() if name not in columns]
    return Posts(frame.with_columns(lacking), LABELS)


def daily(rows: int = 120) -> list[datetime]:
    return [START + timedelta(hours=row) for row in range(rows)]


def changed(posts: Posts, column: str, values: dict[int, object]) -> Posts:
    """The posts with other values in some rows."""
    cells = posts.frame[column].to_list()
    for row, value in values.items():
        cells[row] = value
    series = pl.Series(column, cells, dtype=posts.frame[column].dtype)
    return replace(posts, frame=posts.frame.with_columns(series))


def reason_of(division: Division, row: int) -> str:
    return division.reasons[division.left_out.tolist().index(row)]


def audited(posts: Posts, division: Division) -> AuditReport:
    return audit_division(posts, division, CONFIG)


def checks(report: AuditReport) -> dict[str, str]:
    return {finding.check: finding.severity for finding in report.findings}


@pytest.mark.parametrize("split", ["time", "random"])
def test_each_post_is_in_one_part_and_all_labels_are_in_all(split):
    posts = some_posts(time=daily())
    division = divide(posts, ProtocolConfig(split=split), seed=0)
    everything = np.sort(np.concatenate([*division.parts().values(), division.left_out]))
    assert np.array_equal(everything, np.arange(120))
    for rows in division.parts().values():
        assert set(posts.frame["label"][rows]) == set(LABELS)
    assert len(division.test) == pytest.approx(24, abs=3)
    assert len(division.calibration) == pytest.approx(9.6, abs=3)
    assert audited(posts, division).clean


def test_the_latest_posts_test_where_all_have_a_time():
    division = divide(some_posts(time=daily()), CONFIG, seed=0)
    assert division.kind == "time"
    assert division.test.tolist() == list(range(96, 120))


def test_without_all_times_the_split_is_random_and_asking_for_time_is_refused():
    posts = some_posts(time=[None, *daily(119)])
    assert divide(posts, CONFIG, seed=0).kind == "random"
    with pytest.raises(RequestError, match="Received 1 without"):
        divide(posts, ProtocolConfig(split="time"), seed=0)


def test_the_seed_alone_decides_a_random_split():
    posts = some_posts()
    first, again, other = (divide(posts, CONFIG, seed).test.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_training_posts_that_say_what_a_test_post_says_are_left_out():
    posts = some_posts(time=daily())
    text = posts.frame["text"][110]
    posts = changed(posts, "text", {3: "RT @x: " + text, 4: text + " https://t.co/a", 5: text + " nulla"})
    division = divide(posts, CONFIG, seed=0)
    for row in (3, 4, 5):
        assert reason_of(division, row) == SAYS_TEST
    assert 110 in division.test
    assert division.notes == (f"3 posts {SAYS_TEST} are left out.",)
    exact = divide(posts, ProtocolConfig(near_duplicate=1), seed=0)
    assert exact.left_out.tolist() == [3, 4]


def test_posts_that_say_the_same_stay_together_in_a_random_split():
    posts = some_posts()
    posts = changed(posts, "text", {row: posts.frame["text"][row % 30] for row in range(120)})
    division = divide(posts, CONFIG, seed=0)
    for rows in division.parts().values():
        assert set(rows % 30).isdisjoint(set(np.setdiff1d(np.arange(120), rows) % 30))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=120, max_size=120), st.integers(0, 3))
def test_authors_never_cross_a_random_split(skips, seed):
    authors = [(row + skip) // 3 for row, skip in enumerate(skips)]
    posts = some_posts(author=[f"a{author}" for author in authors])
    division = divide(posts, CONFIG, seed)
    of = {name: {authors[row] for row in rows} for name, rows in division.parts().items()}
    assert of["test"].isdisjoint(of["train"] | of["calibration"])
    assert of["train"].isdisjoint(of["calibration"])
    assert division.authors_apart


@pytest.mark.parametrize(
    ("num_authors", "authors", "apart"),
    [(30, "auto", False), (30, "apart", True), (120, "auto", True), (30, "any", False)],
    ids=["faithful authors", "asked for", "authors of one post", "refused"],
)
def test_in_a_split_by_time_authors_are_kept_apart_where_that_costs_little(num_authors, authors, apart):
    posts = some_posts(time=daily(), author=[f"a{row % num_authors}" for row in range(120)])
    division = divide(posts, ProtocolConfig(authors=authors), seed=0)
    assert division.authors_apart is apart
    crossing = num_authors == 30
    assert (SAME_AUTHOR in division.reasons) == (apart and crossing)
    assert checks(audited(posts, division)).get("author_overlap") == (
        "warning" if crossing and not apart else None
    )


def test_posts_without_a_label_are_left_out_and_counted():
    posts = changed(some_posts(time=daily()), "label", {0: None, 119: None})
    division = divide(posts, CONFIG, seed=0)
    assert reason_of(division, 0) == reason_of(division, 119) == NO_LABEL


def test_weak_labels_train_and_neither_calibrate_nor_test():
    posts = some_posts(time=daily(), is_weak=[row % 4 == 0 for row in range(120)])
    division = divide(posts, CONFIG, seed=0)
    weak = posts.frame["is_weak"].to_numpy()
    assert weak[division.train].any()
    assert not weak[division.test].any()
    assert not weak[division.calibration].any()
    assert reason_of(division, 116) == TOO_LATE
    assert audited(posts, division).clean


def given_parts(**other: int) -> list[str | None]:
    return ["train"] * 80 + ["validation"] * other.get("validation", 20) + ["test"] * 20


def test_a_given_division_is_kept_but_for_what_training_says_twice():
    posts = some_posts(part=given_parts())
    texts = posts.frame["text"]
    posts = changed(posts, "text", {0: texts[110], 1: texts[90], 91: texts[111]})
    posts = changed(changed(posts, "part", {2: None}), "is_weak", {112: True})
    division = divide(posts, CONFIG, seed=0)
    assert division.kind == "given"
    assert reason_of(division, 0) == reason_of(division, 91) == SAYS_TEST
    assert reason_of(division, 1) == SAYS_CALIBRATION
    assert reason_of(division, 2) == NO_PART
    assert reason_of(division, 112) == WEAK
    assert (len(division.train), len(division.calibration), len(division.test)) == (77, 19, 19)
    assert audited(posts, division).clean


def test_calibration_is_cut_from_training_where_none_is_given():
    posts = some_posts(100, part=given_parts(validation=0))
    division = divide(posts, CONFIG, seed=0)
    assert division.test.tolist() == list(range(80, 100))
    assert 6 <= len(division.calibration) <= 10


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_given_division_needs_training_and_test(part):
    with pytest.raises(RequestError, match=f"Received {part}"):
        divide(some_posts(part=[part] * 120), CONFIG, seed=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["negative"] * 60 + ["neutral"] * 60, "0 positive"), ([None] * 120, "0 negative"),
     (["negative"] * 100 + ["neutral"] * 15 + ["positive"] * 5, "5 positive")],
    ids=["one class missing", "no labels", "too few"],
)  # fmt: skip
def test_too_few_posts_of_a_label_are_refused(labels, message):
    with pytest.raises(RequestError, match=f"at least 10 posts of each label.*{message}"):
        divide(some_posts(label=labels), CONFIG, seed=0)


def test_planted_leaks_are_found():
    posts = some_posts(time=daily(), author=[f"a{row}" for row in range(120)])
    clean = divide(posts, CONFIG, seed=0)
    first, second, third, *_ = clean.test.tolist()
    texts, train = posts.frame["text"], clean.train.tolist()
    planted = {
        "post_overlap": (posts, replace(clean, train=np.sort(np.append(clean.train, first)))),
        "same_text": (changed(posts, "text", {train[0]: "@kim " + texts[first].upper()}), clean),
        "near_duplicates": (changed(posts, "text", {train[0]: texts[second] + " magna"}), clean),
        "author_overlap": (changed(posts, "author", {train[0]: f"a{third}"}), clean),
        "time_order": (changed(posts, "time", {train[0]: START + timedelta(days=9)}), clean),
        "weak_labels": (changed(posts, "is_weak", {first: True}), clean),
    }
    assert audited(posts, clean).clean
    for check, (bad_posts, division) in planted.items():
        report = audited(bad_posts, division)
        leaks = {finding.check for finding in report.findings if finding.severity == "leak"}
        assert check in leaks, check
        with_it = {"time_order", "author_overlap"} if check == "post_overlap" else set()
        assert leaks <= {check} | with_it, check
        with pytest.raises(FieldworkError, match=rf"\[{check}\]"):
            report.require()


def test_a_label_that_the_test_lacks_is_an_error():
    posts = some_posts(part=given_parts(), label=[LABELS[row % 3] for row in range(100)] + ["neutral"] * 20)
    assert checks(audited(posts, divide(posts, CONFIG, seed=0)))["class_missing"] == "error"


def test_copies_with_different_labels_are_warned_of():
    posts = some_posts()
    posts = changed(posts, "text", {1: posts.frame["text"][0]})
    assert checks(audited(posts, divide(posts, CONFIG, seed=0)))["label_conflicts"] == "warning"


def test_shifts_of_labels_languages_and_lengths_are_told_with_their_size():
    rows = 1200
    labels = [LABELS[row % 3] if row < 960 else LABELS[row % 2] for row in range(rows)]
    texts = [("short " if row < 960 else "quite a long text " * 10) + str(row) for row in range(rows)]
    posts = some_posts(rows, label=labels, time=daily(rows), text=texts, language=["en"] * 960 + ["de"] * 240)
    exact = ProtocolConfig(near_duplicate=1)
    report = audit_division(posts, divide(posts, exact, seed=0), exact)
    assert {"prior_shift", "language_drift", "length_drift"} <= set(checks(report))
    (prior,) = [finding for finding in report.findings if finding.check == "prior_shift"]
    assert "total variation 0.333" in prior.message
    assert "positive: 0.333 in training, 0.000 there" in prior.message


def test_samples_of_one_population_are_hardly_ever_called_shifted():
    random = np.random.default_rng(0)
    values = pl.Series(random.choice(LABELS, 20_000))
    rows = [random.permutation(20_000)[:600] for _ in range(200)]
    alarms = [
        shift > by_chance
        for shift, by_chance in (mixture_shift(values, one[:500], one[500:]) for one in rows)
    ]
    assert np.mean(alarms) < 0.05


def test_the_generated_stream_is_divided_without_leaks():
    read = read_posts("synthetic", DataConfig(num_posts=1000), 0)
    division = divide(read.posts, CONFIG, seed=0)
    assert division.kind == "time"
    assert len(division.left_out) < 60
    assert audited(read.posts, division).require().clean
