"""A file is refused with a reason before anything parses it."""

import os

import polars as pl
import pytest

from shared.contracts.files import check_file
from shared.errors import RequestError


def refused(path, match, **limits):
    with pytest.raises(RequestError, match=match):
        check_file(path, **limits)


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"x": list(range(1000)), "y": ["text"] * 1000}).write_parquet(path, row_group_size=100)
    return path


def test_whole_files_pass(parquet, tmp_path):
    assert check_file(parquet) == parquet.resolve()
    table = tmp_path / "Tabelle ü.csv"
    table.write_text('\ufeffa,b\n"x, ""y""\nz",1\nü,2', encoding="utf-8")
    assert check_file(table, root=tmp_path) == table.resolve()
    other = tmp_path / "data.bin"
    other.write_bytes(b"\0\xff")
    assert check_file(str(other)) == other.resolve()


@pytest.mark.parametrize("keep", [1, 4, 11, 12, 500, -1, -8])
def test_cut_off_parquet_is_refused(parquet, keep):
    parquet.write_bytes(parquet.read_bytes()[:keep])
    refused(parquet, "Parquet")


def test_parquet_with_a_damaged_or_lying_footer_is_refused(parquet):
    content = bytearray(parquet.read_bytes())
    parquet.write_bytes(content[:4] + content[2000:])
    refused(parquet, "Copy it again|damaged")
    content[-8:-4] = (2**31).to_bytes(4, "little")
    parquet.write_bytes(content)
    refused(parquet, "cut off")
    footer_bytes = int.from_bytes(parquet.read_bytes()[-8:-4], "little")
    assert footer_bytes == 2**31
    parquet.write_bytes(b"PAR1" + b"\xff" * 100 + (50).to_bytes(4, "little") + b"PAR1")
    refused(parquet, "damaged")
    parquet.write_text("a,b\n1,2\n")
    refused(parquet, "does not start with PAR1|PAR1")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        ("a,b\ncaf\u00e9,1\n".encode("latin-1"), r"0xe9 \(latin-1 'é'\) at byte 7, line 2"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n1,\x002\n", "zero byte at byte 6"),
        (b"a,b\n1,\xc3", "cut off at its end"),
        (b'a,b\n1,"open\n', "closed quotes"),
        (b"a,b,c\n1,2,3\n4,5", "Expected 3 fields in the last line"),
        (b"a;b;c\n1;2;3\n4", "cut off"),
    ],
)
def test_broken_csv_is_refused_with_the_place(tmp_path, content, match):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    refused(path, match)


def test_bad_byte_is_located_beyond_the_first_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.contracts.files._CHUNK_BYTES", 5)
    path = tmp_path / "table.csv"
    good = "ab,ü\n€,😀\n".encode() * 3
    path.write_bytes(good + b"x\xff\n")
    refused(path, f"at byte {len(good) + 1}, line 7")
    path.write_bytes(good)
    check_file(path)


@pytest.mark.parametrize(
    "content", ["a,b\n1,2", "a,b\n1,2\n", "a\n1\n2", "a,b\n1,2,3", 'a,b\n"x\ny,z",2', "a,b"]
)
def test_whole_csv_without_a_last_line_end_passes(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_text(content)
    check_file(path)


def test_last_line_longer_than_the_look_back_is_not_judged(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.contracts.files._LAST_LINE_BYTES", 10)
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n" + "x" * 30 + ",5")
    check_file(path)


def test_paths_that_leave_the_folder_are_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    (inside / "link.csv").symlink_to(secret)
    for path in (inside / ".." / "secret.csv", inside / "link.csv", secret):
        refused(path, "leads outside", root=inside)
    check_file(inside / "link.csv")


def test_things_that_are_no_files_are_refused(tmp_path):
    refused(tmp_path / "absent.csv", "no such file")
    refused(tmp_path, "folder, device or pipe")
    refused("/dev/zero", "folder, device or pipe")
    refused("a\0b.csv", "usable path")
    refused(tmp_path / ("x" * 300), "readable file|usable path")
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "folder, device or pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "usable path|readable|no such file")


def test_size_limit_is_in_bytes_and_inclusive(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    check_file(path, max_bytes=8)
    refused(path, "at most 7 bytes", max_bytes=7)
