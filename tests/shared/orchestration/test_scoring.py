import os
from pathlib import Path

import polars as pl
import pytest

from shared.errors import RequestError
from shared.orchestration.scoring import beside, require_input_untouched, written


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("out.csv", "out.quarantine.parquet"),
        ("scores.monday.csv", "scores.monday.quarantine.parquet"),
        ("/a/b/out", "/a/b/out.quarantine.parquet"),
    ],
)
def test_tables_beside_the_output_are_called_after_it(output, place):
    assert beside(Path(output), "quarantine") == Path(place)


@pytest.mark.parametrize("alias", ["same", "dots", "link"])
def test_input_that_is_also_an_output_is_refused_however_it_is_spelt(tmp_path, alias):
    source = tmp_path / "new.parquet"
    source.write_bytes(b"")
    os.symlink(source, tmp_path / "link.parquet")
    spelt = {"same": source, "dots": tmp_path / "x" / ".." / "new.parquet", "link": tmp_path / "link.parquet"}
    with pytest.raises(RequestError, match=r"leaves the INPUT .*new\.parquet alone"):
        require_input_untouched(source, tmp_path / "out.parquet", spelt[alias])


def test_other_names_are_no_danger_to_the_input(tmp_path):
    require_input_untouched(tmp_path / "new.csv", tmp_path / "out.csv", tmp_path / "new.csv.parquet")


def test_only_a_table_with_rows_is_written(tmp_path):
    frame, place = pl.DataFrame({"a": [1, 2]}), tmp_path / "out.parquet"
    assert written(frame[:0], place) is None
    assert not place.exists()
    assert written(frame, place) == str(place)
    assert pl.read_parquet(place).equals(frame)
