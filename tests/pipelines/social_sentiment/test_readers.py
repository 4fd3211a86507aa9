"""Public sets as published: escapes, quotes, repeated ids and masks are read as meant; broken files are refused."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.social_sentiment.lines import as_written, read_lines
from pipelines.social_sentiment.semeval import read_semeval, tweet_times
from pipelines.social_sentiment.tweeteval import (
    read_tweeteval,
    tweeteval_files,
    tweeteval_labels,
    tweeteval_splits,
)
from shared.errors import RequestError

NEWLINES = st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])


def written(text: str) -> str:
    return as_written(pl.Series("text", [text]))[0][0]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (r"Plus\u002c it\u2019s on", "Plus, it’s on"),
        (r"so \ud83d\ude02\ud83d\ude02", "so 😂😂"),
        (r"half \ud83d of it", "half \ufffd of it"),
        ('"Well, ""quoted"" it is"', 'Well, "quoted" it is'),
        (r'"Why is \""""Happy\"""" trending"', 'Why is "Happy" trending'),
        ('"@MetroNorth wall to wall people', "@MetroNorth wall to wall people"),
        ('#grind #onyourown"', "#grind #onyourown"),
        ('"To be or not to be"', '"To be or not to be"'),
        ('"a" and "b"', '"a" and "b"'),
        (r"/o\ and \o/", r"/o\ and \o/"),
        ('a torn "" quoted"', 'a torn " quoted'),
        ('says ""hi"" to all', 'says "hi" to all'),
        ('he is 5\'10"', "he is 5'10"),
        ("ends with a tab\t", "ends with a tab"),
    ],
    ids=["escapes", "surrogates", "lone surrogate", "CSV", "escaped quotes", "torn start", "torn end", "own quotes",
         "two quotes", "backslashes", "torn with quotes",
         "doubled", "inches", "tab"],
)  # fmt: skip
def test_texts_are_read_as_they_were_written(given, meant):
    assert written(given) == meant


@given(st.text(NEWLINES, max_size=40))
@example("0 \\")
def test_what_a_csv_writer_and_escapes_did_is_undone(text):
    plain = text.replace("\\", "").replace('"', "'").strip(" \t")
    escaped = json.dumps(plain)[1:-1] if plain.isprintable() else plain
    assert written(escaped) == plain
    assert written('"' + plain + ',"') == plain + ","


def test_how_many_texts_were_changed_is_said():
    texts = pl.Series("text", [r"a\u2019b", '"a, b"', '"torn', "plain", None])
    read, notes = as_written(texts)
    assert read.to_list() == ["a’b", "a, b", "torn", "plain", None]
    assert texts[0] == r"a\u2019b", "the texts given are left alone"
    assert [note.split()[0] for note in notes] == ["1", "1", "1"]


def test_only_a_newline_ends_a_line(tmp_path):
    path = tmp_path / "val_text.txt"
    path.write_bytes("\ufeffone\u2028still one\x85\r\ntwo\x0bstill two\n".encode())
    assert read_lines(path) == ["one\u2028still one\x85", "two\x0bstill two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "which is empty"),
        ("a\nb".encode("utf-16"), "UTF-16"),
        (b"fine\ncaf\xe9\n", "line 2"),
        (b"a\x00b\n", "zero byte"),
        (b"fine\n\xed\xa0\xbd lone surrogate\n", "line 2"),
    ],
    ids=["empty", "utf-16", "latin-1", "NUL", "surrogate"],
)
def test_files_that_are_no_utf8_text_are_refused_with_the_place(tmp_path, content, message):
    path = tmp_path / "val_text.txt"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_lines(path)


@pytest.fixture
def semeval(tmp_path: Path) -> Path:
    files = {
        "twitter-2013dev-A.tsv": "264000000000000001\tneutral\tone\\u002c two\n20\tpositive\told\n",
        "twitter-2016test-A.tsv": "264000000000000001\tneutral\tone, two\t\n7\tnegative\tseven\t\nbroken row\n",
        "twitter-2016dev-A.tsv": "7\tpositive\tseven\n8\tnegative\tit has\ta tab\n",
        "readme.txt": "nothing\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_an_id_is_read_once_and_not_at_all_when_its_labels_differ(semeval):
    frame, notes = read_semeval(semeval)
    assert frame["post_id"].to_list() == ["264000000000000001", "20", "8", "broken row"]
    assert frame["text"].to_list() == ["one, two", "old", "it has\ta tab", None]
    assert "7 rows in 3 files of SemEval-2017." in notes
    assert "1 rows repeat an id with the same label: read once." in notes
    assert "1 ids come with different labels: their 2 rows are left out." in notes


def test_the_time_of_a_tweet_is_in_its_id():
    # the example of Wikipedia's article on snowflake ids
    times = tweet_times(pl.Series(["1541815603606036480", "29700000000", "no id", None]))
    assert times[0] == datetime(2022, 6, 28, 16, 7, 40, 105000, tzinfo=UTC)
    assert times[1:].null_count() == 3


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "emotion"
    folder.mkdir()
    (folder / "mapping.txt").write_text("0\tanger\n1\tjoy\n", encoding="utf-8")
    for split, texts, labels in (("train", "a\nb\nc\n", "0\n1\n1\n"), ("test", "d\ne\n", "1\n5\n")):
        (folder / f"{split}_text.txt").write_text(texts, encoding="utf-8")
        (folder / f"{split}_labels.txt").write_text(labels, encoding="utf-8")
    return folder


def test_any_task_of_tweeteval_is_read_with_its_own_labels(task):
    labels = tweeteval_labels(task, None)
    assert labels == ("anger", "joy")
    assert tweeteval_splits(task) == ("train", "test")
    assert len(tweeteval_files(task)) == 5
    frame, _ = read_tweeteval(task, "test", labels)
    assert frame.rows() == [("test-1", "d", "joy"), ("test-2", "e", "5")]


def test_targets_of_the_stance_task_share_a_mapping(task):
    (task / "target").mkdir()
    (task / "target" / "train_text.txt").write_text("a\n", encoding="utf-8")
    assert tweeteval_labels(task / "target", None) == ("anger", "joy")
    frame, _ = read_tweeteval(task / "target", "train", ("anger", "joy"))
    assert frame["label"].to_list() == [None]


def test_labels_can_be_named_where_no_mapping_is(task):
    (task / "mapping.txt").unlink()
    with pytest.raises(RequestError, match=r"data\.labels"):
        tweeteval_labels(task, None)
    assert tweeteval_labels(task, ("x", "y")) == ("x", "y")


@pytest.mark.parametrize(
    "mapping",
    ["1\ta\n2\tb\n", "0\ta\n1\ta\n", "0 a\n1 b\n", "0\ta\n"],
    ids=["from 1", "twice", "no tab", "one"],
)
def test_a_mapping_that_does_not_count_from_0_is_refused(task, mapping):
    (task / "mapping.txt").write_text(mapping, encoding="utf-8")
    with pytest.raises(RequestError, match="number, tab and name"):
        tweeteval_labels(task, None)


def test_texts_and_labels_of_different_numbers_of_lines_are_refused(task):
    (task / "train_labels.txt").write_text("0\n1\n", encoding="utf-8")
    with pytest.raises(RequestError, match=r"3 texts\. Received 2 lines"):
        read_tweeteval(task, "train", ("anger", "joy"))
