"""Posts as users have them: read as meant, put into quarantine with a reason, or refused in one clear message."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.social_sentiment.authors import hashed_authors
from pipelines.social_sentiment.config import DataConfig
from pipelines.social_sentiment.data import (
    load_posts,
    parse_column_map,
    parse_label_names,
    read_to_score,
    source_paths,
)
from pipelines.social_sentiment.ingest import Read, read_posts
from pipelines.social_sentiment.labels import named_labels
from pipelines.social_sentiment.schema import COLUMNS, LABELS
from shared.data.home import home
from shared.errors import FieldworkError, RequestError

Ingest = Callable[..., Read]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """A table through file, reader and contract, as a run takes it."""

    def ingest_frame(frame: pl.DataFrame, name: str = "posts.parquet", **settings) -> Read:
        path = tmp_path / name
        writers = {
            "parquet": frame.write_parquet,
            "csv": frame.write_csv,
            "tsv": lambda file: frame.write_csv(file, separator="\t"),
            "jsonl": frame.write_ndjson,
        }
        writers[name.rsplit(".")[-1]](path)
        return read_posts(str(path), DataConfig(**settings), seed=0)

    return ingest_frame


def posts(rows: int = 60, **columns) -> pl.DataFrame:
    base = {
        "post_id": [f"p{row}" for row in range(rows)],
        "text": [f"post number {row}, all fine 👍🏽" for row in range(rows)],
        "label": [LABELS[row % 3] for row in range(rows)],
    }
    return pl.DataFrame({**base, **columns})


@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv", "posts.jsonl", "posts.parquet"])
def test_every_format_gives_the_same_posts(ingest, name):
    texts = ['a "quoted", one', "two\nlines; and\ta tab", *["😂 & more"] * 58]
    frame = posts(text=texts, time=["2024-01-31 12:00:00"] * 60, topic=["app"] * 60)
    read = ingest(frame, name).posts.frame
    assert read.equals(ingest(frame).posts.frame)
    assert read["text"].to_list() == texts
    assert read["time"][0] == datetime(2024, 1, 31, 12, tzinfo=UTC)
    assert tuple(read.columns) == (*COLUMNS, "is_weak")


def test_columns_of_another_name_are_mapped_and_the_others_named(ingest):
    frame = posts().rename({"text": "message", "label": "mood"}).with_columns(likes=pl.lit(3))
    read = ingest(frame, columns={"text": "message", "label": "mood"}).posts
    assert read.frame["label"][:3].to_list() == list(LABELS)
    assert "Columns that are not used: likes." in read.notes


def test_posts_without_ids_are_called_by_their_row(ingest):
    read = ingest(posts().drop("post_id")).posts
    assert read.frame["post_id"][0] == "row-1"
    assert any("number of their row" in note for note in read.notes)


@pytest.mark.parametrize(
    ("values", "settings", "labels", "first"),
    [
        ([0, 1, 2], {}, LABELS, "negative"),
        ([-1, 0, 1], {}, LABELS, "negative"),
        (["1", "0", "-1"], {}, LABELS, "positive"),
        ([2.0, 1.0, 0.0], {}, LABELS, "positive"),
        (["Positive", " NEGATIVE", "neutral "], {}, LABELS, "positive"),
        (["positive", "negative", "positive"], {}, ("negative", "positive"), "positive"),
        (["joy", "anger", None], {}, ("anger", "joy"), "joy"),
        ([0, 4, 0], {"label_names": {"0": "negative", "4": "positive"}}, ("negative", "positive"), "negative"),
        ([0, 1, 0], {"labels": ("no", "yes")}, ("no", "yes"), "no"),
        (["YES", "no", ""], {"labels": ("no", "yes")}, ("no", "yes"), "yes"),
    ],
    ids=["0 1 2", "-1 0 1", "text", "floats", "case", "two of three", "own", "named", "own numbers", "own names"],
)  # fmt: skip
def test_labels_are_read_however_they_are_written(values, settings, labels, first):
    named, found, _ = named_labels(pl.Series("label", values), DataConfig(**settings))
    assert (named[0], found) == (first, labels)
    assert set(named.drop_nulls()) <= set(labels)


@pytest.mark.parametrize(
    ("values", "message"),
    [([0, 1, 0], "Received 0, 1"), ([1, 2, 5], "Received 1, 2, 5"), (["joy"] * 3, r"Received 1 \('joy'\)"),
     ([f"words {row}" for row in range(60)], "Received 60")],
    ids=["two of three numbers", "stars", "one", "texts"],
)  # fmt: skip
def test_labels_that_could_mean_two_things_are_asked_back(values, message):
    with pytest.raises(RequestError, match=message) as caught:
        named_labels(pl.Series("label", values), DataConfig())
    assert "data.label_names" in str(caught.value)


def test_a_misspelt_label_goes_into_quarantine_and_makes_no_class(ingest):
    read = ingest(posts(label=["postive", *[LABELS[row % 3] for row in range(59)]]))
    assert read.posts.labels == LABELS
    assert "received 'postive'" in read.checked.quarantined["broken_rules"][0]


@pytest.mark.parametrize("name", ["posts.csv", "posts.jsonl"])
def test_the_name_of_an_author_is_nowhere_to_be_found(ingest, name):
    authors = ["Jane Doe", *["@jane doe", "someone"] * 29, None]
    read = ingest(posts(author=authors, label=["wrong", *["positive", "negative"] * 29, "neutral"]), name)
    everything = str(read.posts) + str(read.checked.to_json()) + read.checked.quarantined.write_csv()
    assert "ane" not in everything.lower().replace("neutral", "")
    assert read.checked.quarantined.height == 1
    assert read.posts.frame["author"].n_unique() == 3


def test_one_author_has_one_digest_in_all_tables_of_an_installation_and_no_other(monkeypatch, tmp_path):
    first = hashed_authors(pl.Series(["jane", " @Jane ", "7", None, ""]))
    assert first[0] == first[1] != first[2]
    assert first[3:].null_count() == 2
    assert hashed_authors(pl.Series([7]))[0] == first[2]
    key = home().root / "keys" / "authors.key"
    assert os.stat(key).st_mode & 0o777 == 0o600
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "another"))
    assert hashed_authors(pl.Series(["jane"]))[0] != first[0]


def test_a_damaged_key_is_said_and_not_replaced():
    hashed_authors(pl.Series(["jane"]))
    key = home().root / "keys" / "authors.key"
    key.write_bytes(b"short")
    with pytest.raises(FieldworkError, match="Received 5"):
        hashed_authors(pl.Series(["jane"]))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"post_id": "p1"}, "unique"), ({"text": "  "}, "text: pattern"), ({"text": "x" * 10_500}, "text: length"),
        ({"time": "yesterday"}, "time: type"), ({"part": "holdout"}, "part: valid_values"),
    ],
    ids=["id twice", "blank", "long", "time", "part"],
)  # fmt: skip
def test_rows_that_break_the_contract_go_into_quarantine_with_the_reason(ingest, change, rule):
    base = posts(time=["2024-01-31T12:00:00Z"] * 60, part=["train"] * 60)
    column, value = next(iter(change.items()))
    changed = base.with_columns(
        pl.when(pl.int_range(pl.len()) < 1).then(pl.lit(value)).otherwise(column).alias(column)
    )
    checked = ingest(changed).checked
    assert checked.quarantined.height + checked.valid.height == 60
    assert checked.quarantined["broken_rules"].str.contains(rule, literal=True).all()


def test_a_text_of_ten_megabytes_is_one_row_in_quarantine(ingest):
    frame = posts(text=["very " * 2_000_000, *["fine"] * 59])
    assert ingest(frame, "posts.csv").checked.quarantined.height == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"post_id,text\n", "without any row"),
        ("post_id,text\n1,é\n".encode("utf-16"), "UTF-16"),
        ("post_id,text\n1,caf\xe9\n".encode("latin-1"), "line 2"),
        (b"post_id,text\n1,a\x00b\n", "zero byte"),
        (b"post_id,text\n1,a\n2,b,c\n", "line 3"),
        (b'post_id,text\n1,"never closed\n', "stray quotes"),
        (b"id,message\n1,a\n", "text=YOUR_COLUMN"),
        (b'{"post_id": "1", "text": "a\n', "line 1"),
    ],
    ids=[
        "empty",
        "header only",
        "utf-16",
        "latin-1",
        "NUL",
        "ragged",
        "open quote",
        "no text",
        "broken JSON",
    ],
)
def test_files_that_cannot_be_read_give_one_clear_message(tmp_path, content, message):
    path = tmp_path / "posts.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message) as caught:
        load_posts(str(path), DataConfig(), 0)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_bytes("\ufeffpost_id,text\n1,é\n".encode())
    assert load_posts(str(path), DataConfig(), 0).frame.row(0) == ("1", "é")


@pytest.mark.parametrize("source", ["nothing.csv", "german_credit"], ids=["no file", "another domain"])
def test_unknown_sources_name_those_that_there_are(source):
    with pytest.raises(RequestError, match="synthetic, semeval2017"):
        source_paths(source, DataConfig())


def test_an_empty_folder_is_no_source(tmp_path):
    with pytest.raises(RequestError, match="a folder"):
        load_posts(str(tmp_path), DataConfig(), 0)


def test_settings_of_a_table_are_refused_with_another_source():
    with pytest.raises(RequestError, match=r"data\.columns"):
        load_posts("synthetic", DataConfig(columns={"text": "message"}), 0)


def write_split(folder: Path, split: str, count: int, word: str) -> None:
    texts = "".join(f"{word} {split} {number} and more\n" for number in range(count))
    (folder / f"{split}_text.txt").write_text(texts, encoding="utf-8")
    (folder / f"{split}_labels.txt").write_text(
        "".join(f"{number % 3}\n" for number in range(count)), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("splits", "subset", "parts"),
    [
        (("train", "val", "test"), "test", {"train": 9, "validation": 9, "test": 9}),
        (("train", "val", "test"), "val", {"train": 9, "test": 9}),
        (("train", "val", "test"), "train", {None: 9}),
        (("train", "test"), "test", {"train": 9, "test": 9}),
        (("val", "test"), "test", {None: 9}),
        (("val",), "val", {None: 9}),
    ],
    ids=["test", "val", "train", "no val", "no train", "val alone"],
)  # fmt: skip
def test_the_chosen_split_of_a_tweeteval_task_tests_and_later_ones_are_not_read(
    tmp_path, splits, subset, parts
):
    (tmp_path / "mapping.txt").write_text("0\tanger\n1\tjoy\n2\tsadness\n", encoding="utf-8")
    for split in splits:
        write_split(tmp_path, split, 9, "some")
    read = read_posts(str(tmp_path), DataConfig(subset=subset), 0).posts
    assert read.labels == ("anger", "joy", "sadness")
    assert dict(read.frame["part"].value_counts().rows()) == parts
    unread = sum(note.startswith("Not read") for note in read.notes)
    assert unread == len(splits) - len(parts)


def test_a_split_that_is_not_there_is_named(tmp_path):
    write_split(tmp_path, "train", 9, "some")
    with pytest.raises(RequestError, match=r"Received train: .*data\.subset"):
        load_posts(str(tmp_path), DataConfig(subset="test"), 0)


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A semeval2017 and a tweeteval_sentiment of a few posts each, where FIELDWORK_DATA says."""
    semeval, tweeteval = tmp_path / "semeval2017", tmp_path / "tweeteval_sentiment"
    semeval.mkdir()
    tweeteval.mkdir()
    rows = "".join(
        f"{264000000000000000 + (number << 22)}\t{LABELS[number % 3]}\tpost {number}\n"
        for number in range(30)
    )
    (semeval / "twitter-2013dev-A.tsv").write_text(rows, encoding="utf-8")
    (tweeteval / "mapping.txt").write_text("0\tnegative\n1\tneutral\n2\tpositive\n", encoding="utf-8")
    for split in ("val", "test"):
        write_split(tweeteval, split, 6, "other")
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("subset", ["val", "test"])
def test_semeval_trains_and_the_chosen_split_of_tweeteval_tests(public, subset):
    frame = read_posts("semeval2017", DataConfig(subset=subset), 0).posts.frame
    assert frame.filter(part="train").height == 30
    assert frame.filter(part="test")["text"].str.contains(subset).all()
    assert frame.filter(part="test")["time"].null_count() == 6
    assert len(source_paths("semeval2017", DataConfig())) == 1 + 5


def test_semeval_alone_has_times_and_no_parts(public):
    frame = read_posts("semeval2017", DataConfig(test_set="none"), 0).posts.frame
    assert frame["part"].null_count() == frame.height == 30
    assert frame["time"].null_count() == 0
    assert len(source_paths("semeval2017", DataConfig(test_set="none"))) == 1


def test_without_tweeteval_the_way_to_get_it_is_said(public):
    for file in (public / "tweeteval_sentiment").iterdir():
        file.unlink()
    with pytest.raises(RequestError, match="fieldwork data fetch tweeteval_sentiment"):
        load_posts("semeval2017", DataConfig(), 0)


def test_posts_to_score_need_no_label_and_lose_those_that_they_have(tmp_path):
    path = tmp_path / "stream.csv"
    posts().with_columns(part=pl.lit("odd"), label=pl.lit("whatever")).write_csv(path)
    read = read_to_score(path, DataConfig())
    assert set(read.frame.columns) == {"post_id", "text"}


def test_settings_of_labels_are_pairs_a_mapping_or_a_file(tmp_path):
    path = tmp_path / "names.yaml"
    path.write_text("0: negative\n4: positive\n", encoding="utf-8")
    expected = {"0": "negative", "4": "positive"}
    assert parse_label_names(str(path)) == expected
    assert parse_label_names(["0=negative", "4=positive"]) == expected
    with pytest.raises(RequestError, match="Expected pairs"):
        parse_label_names([1, 2])
    with pytest.raises(RequestError, match="Expected the names post_id"):
        parse_column_map(["txt=message"])
