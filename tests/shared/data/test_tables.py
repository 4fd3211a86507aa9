import gzip
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data import delimited
from shared.data.tables import read_table, write_table
from shared.errors import RequestError

real = pytest.mark.real
public_data = Path(os.environ.get("FIELDWORK_DATA", "/nowhere"))


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "home"))


@pytest.fixture
def read(tmp_path):
    def read(content: bytes | str, name: str = "t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path, **options)

    return read


def scratch_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def columns(frame: pl.DataFrame) -> dict[str, list]:
    return frame.to_dict(as_series=False)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_found_out(read, separator):
    frame = read(f"a{separator}b\n1{separator}x y\n2{separator}z\n")
    assert columns(frame) == {"a": [1, 2], "b": ["x y", "z"]}


def test_blank_separated_file_without_header_is_read_with_names(read):
    frame = read("A11  6 x \nA12\t48 y\n", "t.data", names=["code", "months", "letter"])
    assert columns(frame) == {"code": ["A11", "A12"], "months": [6, 48], "letter": ["x", "y"]}


def test_sentences_in_a_csv_of_one_column_are_not_split_at_blanks(read):
    assert columns(read("text\nhello my friend\nmore words\n")) == {"text": ["hello my friend", "more words"]}


def test_explicit_separator_wins(read):
    assert read("a,b;c\n1,2;3\n", separator=";").columns == ["a,b", "c"]
    assert read("a,b;c\n1,2;3\n", separator=",").columns == ["a", "b;c"]
    with pytest.raises(RequestError, match="one character"):
        read("a,b\n1,2\n", separator=",,")


def test_byte_order_mark_windows_line_ends_and_a_missing_last_newline_do_not_matter(read):
    assert columns(read(b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y")) == {"a": [1, 2], "b": ["x", "y"]}


def test_quoted_separators_newlines_and_quotes_stay_in_their_cell(read):
    frame = read('a,b\n"x,\n\ny",1\n"say ""hi""",2\n')
    assert columns(frame) == {"a": ["x,\n\ny", 'say "hi"'], "b": [1, 2]}


def test_blank_lines_are_no_rows_but_a_blank_cell_of_one_column_is(read):
    assert columns(read("a,b\n\n1,2\r\n\r\n3,4\n\n")) == {"a": [1, 3], "b": [2, 4]}
    assert columns(read("a\n1\n\n3\n")) == {"a": [1, None, 3]}
    assert columns(read("1,2\n\n3,4\n", names=["a", "b"])) == {"a": [1, 3], "b": [2, 4]}


def test_row_of_empty_cells_is_kept_as_missing(read):
    assert columns(read('a,b\n,\n1,""\n')) == {"a": [None, 1], "b": [None, None]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", "", " 3"], [1, -2, None, 3]),
        (["1", "2.5", "1e3", "nan"], [1.0, 2.5, 1000.0, float("nan")]),
        (["007", "010"], ["007", "010"]),
        (["1", "x"], ["1", "x"]),
        (["1", "NA"], ["1", "NA"]),
        (["true", "false"], ["true", "false"]),
        (["2020-01-01", "2020-01-02"], ["2020-01-01", "2020-01-02"]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9007199254740993", "1"], [9007199254740993, 1]),
        (["12345678901234567", "1.5"], ["12345678901234567", "1.5"]),
        (["1_000", "0x10"], ["1_000", "0x10"]),
        (["", ""], [None, None]),
        (["0", "-0", "0.5"], [0.0, -0.0, 0.5]),
    ],
)
def test_only_columns_that_are_plainly_numbers_become_numbers(read, cells, expected):
    found = read("x,y\n" + "".join(f"{cell},z\n" for cell in cells))["x"]
    assert pl.Series(expected, dtype=found.dtype).equals(found, null_equal=True)
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_decimal_commas_are_read_where_the_separator_leaves_no_doubt(read):
    assert columns(read("a;b\n1,5;x\n-2;y\n")) == {"a": [1.5, -2.0], "b": ["x", "y"]}
    assert columns(read("a;b\n0,125;x\n")) == {"a": [0.125], "b": ["x"]}
    assert columns(read("a;b\n1,234;x\n12,345;y\n"))["a"] == ["1,234", "12,345"]
    assert columns(read("a;b\n1.234,5;x\n"))["a"] == ["1.234,5"]


def test_index_column_without_a_name_gets_one(read):
    assert read(",a\n0,1\n").columns == ["column_1", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"a,b\n", "without any row"),
        (b"\n\na,b\n1,2\n", "empty line"),
        (b"a,a\n1,2\n", "'a' more than once"),
        (b"1,2\n3,4\n", "Received numbers"),
        (b"a,b\n1,2\n3\n", r"2 comma-separated fields .* Received 1 in line 3"),
        (b'a,b\n"1\n1",2\n3,4,5\n', r"Received 3 in line 4"),
        (b'a,b\n1,2\n"x,3\n4,5\n', "line 3"),
        (b"a,b\n1,\xe9\n", r"byte 0xe9 in line 2 \(byte 6\)"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n1,\x002\n", "zero byte at 6"),
        (b"a,b\r1,2\r", "carriage returns only"),
        (b"PK\x03\x04" + b"x" * 50, "Excel"),
        (b"\x1f\x8b" + b"x" * 50, "cut off or damaged"),
        (gzip.compress(b"", mtime=0), "empty when unpacked"),
        (b"PAR1" + b"x" * 50, "Parquet file.*cut off or damaged"),
        (b'{"a": 1}\n{"a": \n', "in line 2"),
        (b'{"a": 1}\n[1]\n', "in line 2"),
    ],
)
def test_bad_file_is_refused_with_what_and_where(read, tmp_path, content, message):
    with pytest.raises(RequestError, match=message) as caught:
        read(content)
    assert len(str(caught.value).splitlines()) <= 2
    assert scratch_files(tmp_path) == []


def test_json_list_is_explained(read):
    with pytest.raises(RequestError, match="one object a line"):
        read('[{"a": 1}]', "t.json")


def test_bad_byte_is_located_across_block_borders(read, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 7)
    with pytest.raises(RequestError, match=r"0xc3 in line 3 \(byte 11\)"):
        read("a,b\n1,é\n2,".encode() + b"\xc3\xc3\n")
    assert columns(read("a,b\n1,ééééé\n2,ü\n")) == {"a": [1, 2], "b": ["ééééé", "ü"]}


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.95])
def test_truncated_gzip_and_parquet_are_refused(tmp_path, keep):
    frame = pl.DataFrame({"a": np.random.default_rng(0).random(2000)})
    for name in ("t.csv.gz", "t.parquet"):
        path = write_table(frame, tmp_path / name)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        with pytest.raises(RequestError, match="cut off or damaged"):
            read_table(path)


def test_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path):
    bomb = tmp_path / "t.csv.gz"
    bomb.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 500_000))
    packed = write_table(pl.DataFrame({"a": ["x" * 1000] * 10_000}), tmp_path / "t.parquet")
    for path in (bomb, packed):
        with pytest.raises(RequestError, match="unpacks to"):
            read_table(path, limit_bytes=10_000)
    assert scratch_files(tmp_path) == []


def test_missing_file_folder_and_typing_error_are_explained(tmp_path):
    (tmp_path / "applications.csv").write_text("a\n1\n")
    with pytest.raises(RequestError, match=r"does not exist. Did you mean 'applications.csv'"):
        read_table(tmp_path / "aplications.csv")
    with pytest.raises(RequestError, match="Received the folder"):
        read_table(tmp_path)


def test_columns_are_renamed_and_a_missing_one_brings_close_matches(read):
    assert read("AGE,b\n1,2\n", columns={"AGE": "age"}).columns == ["age", "b"]
    with pytest.raises(RequestError, match=r"a column 'age'.*Did you mean 'AGE'"):
        read("AGE,b\n1,2\n", columns={"age": "years"})
    with pytest.raises(RequestError, match="'b' for two columns"):
        read("a,b\n1,2\n", columns={"a": "b"})
    assert read("a,b\n1,2\n", columns={"a": "b", "b": "a"}).columns == ["b", "a"]


def test_other_encodings_are_read_when_named(read):
    content = "a,b\n1,café €\n".encode("windows-1252")
    assert read(content, encoding="windows-1252")["b"][0] == "café €"
    with pytest.raises(RequestError, match="Expected text in ascii"):
        read(content, encoding="ascii")
    with pytest.raises(RequestError, match="Expected an encoding"):
        read(content, encoding="windows-9")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_every_format_gives_back_what_was_written(tmp_path, suffix):
    frame = pl.DataFrame({"i": [1, None], "f": [0.1, 1e-300], "t": ['a,"b\n', "é"]})
    path = write_table(frame, tmp_path / f"out{suffix}")
    assert read_table(path).equals(frame, null_equal=True)
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == {f"out{suffix}"}


def test_content_decides_over_a_wrong_suffix(tmp_path):
    frame = pl.DataFrame({"a": [1]})
    write_table(frame, tmp_path / "t.parquet").rename(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").equals(frame)


def test_unknown_output_format_and_lists_in_csv_are_refused(tmp_path):
    with pytest.raises(RequestError, match="Expected an output named"):
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "t.xlsx")
    with pytest.raises(RequestError, match=r"use \.parquet"):
        write_table(pl.DataFrame({"a": [[1]]}), tmp_path / "t.csv")


cell = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=8), st.integers(3, 50))
def test_any_text_survives_writing_and_reading_in_blocks_of_any_size(tmp_path_factory, rows, block):
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "c": pl.String}, orient="row")
    frame = frame.with_columns(pl.lit("text").alias("d"))
    path = write_table(frame, tmp_path_factory.mktemp("t") / "t.csv")
    usual, delimited._BLOCK_BYTES = delimited._BLOCK_BYTES, block
    try:
        found = read_table(path, separator=",")
    finally:
        delimited._BLOCK_BYTES = usual
    for name in frame.columns:
        texts = [text or None for text in frame[name]]
        if found[name].dtype == pl.String:
            assert found[name].to_list() == texts
        else:
            assert all(
                text is None or re.fullmatch(r"[ \t]*[+-]?[\d.eE+-]*(nan|inf|infinity)?[ \t]*", text, re.I)
                for text in texts
            )


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet='a1,"\n\r;\t ', min_size=1, max_size=40))
def test_no_text_makes_the_reader_fail_with_anything_but_a_request_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(text, newline="")
    with suppress(RequestError):
        assert read_table(path).height > 0


@real
@pytest.mark.skipif(not public_data.is_dir(), reason="FIELDWORK_DATA is not set")
def test_public_tables_are_read_as_published():
    ratings = read_table(public_data / "movielens_100k" / "u.data", names=["user", "item", "rating", "time"])
    assert ratings.shape == (100_000, 4)
    assert set(ratings.dtypes) == {pl.Int64}
    names = [f"c{index}" for index in range(24)]
    items = read_table(public_data / "movielens_100k" / "u.item", names=names, encoding="latin-1")
    assert items.height == 1682
    engines = read_table(
        public_data / "cmapss" / "train_FD001.txt", names=[f"c{index}" for index in range(26)]
    )
    assert engines.height == 20_631


def test_very_long_cells_are_read(read):
    long = "x y, " * 100_000
    assert columns(read(f'a,b\n"{long}",1\n'))["a"] == [long]
    with pytest.raises(RequestError, match="Received 3 in line 3"):
        read(f'a,b\n"{long}",1\n1,2,3\n')
