import math
import threading
from datetime import date
from pathlib import Path

import fsspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.data.store import Ref, Store, default_store
from shared.errors import FieldworkError, RequestError

cells = st.one_of(st.none(), st.integers(-(2**40), 2**40))
texts = st.one_of(st.none(), st.text(max_size=5))


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    url = f"memory://{tmp_path.name}" if request.param == "memory" else tmp_path / "store"
    return Store(url, tmp_path / "cache")


def blobs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_what_is_put_comes_back_and_equal_content_is_stored_once(store, tmp_path):
    first, second = store.put_bytes(b"abc", ".txt"), store.put_bytes(b"abc", ".txt")
    assert first == second
    assert first.path == f"{first.sha256[:2]}/{first.sha256}.txt"
    assert store.has(first)
    assert store.local_path(first).read_bytes() == b"abc"
    assert len(blobs(tmp_path)) == 1


def test_ref_survives_json(store):
    ref = store.put_frame(pl.DataFrame({"a": [1, 2]}))
    assert ref.rows == 2
    assert Ref.model_validate_json(ref.model_dump_json()) == ref


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "ab/../../x", "ab/{sha}/../../x", "{two}/{sha}/x", "{two}/{sha}.a/b"]
)
def test_ref_from_a_stranger_cannot_point_outside_the_store(path):
    sha = "0" * 64
    with pytest.raises(ValidationError):
        Ref(path=path.format(sha=sha, two="00"), sha256=sha, bytes=1)


def test_json_is_canonical_and_refuses_nan(store):
    assert store.put_json({"a": 1, "b": [2]}) == store.put_json({"b": [2], "a": 1})
    assert store.json(store.put_json({"é": None})) == {"é": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.put_json({"a": math.nan})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(cells, texts, st.floats(), st.booleans()), max_size=30), st.integers(0, 30))
def test_same_frame_has_the_same_digest_however_it_is_chunked(tmp_path_factory, rows, cut):
    store = Store(tmp_path_factory.mktemp("s"), tmp_path_factory.mktemp("c"))
    schema = {"i": pl.Int64, "t": pl.String, "f": pl.Float64, "b": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    chunked = pl.concat([frame[:cut], frame[cut:]], rechunk=False)
    padded = pl.concat([frame, frame])[: len(frame)]
    ref = store.put_frame(frame)
    assert store.put_frame(chunked) == ref == store.put_frame(padded)
    assert store.frame(ref).equals(frame, null_equal=True)


def test_frame_keeps_types_and_reads_single_columns(store):
    frame = pl.DataFrame(
        {"d": [date(2020, 1, 1)], "l": [[1, 2]], "c": ["x"]}, schema_overrides={"c": pl.Categorical}
    )
    ref = store.put_frame(frame)
    assert store.frame(ref).schema == frame.schema
    assert store.frame(ref, columns=["d"]).columns == ["d"]
    assert store.scan(ref).select(pl.len()).collect().item() == 1


def test_frame_without_rows_or_columns_is_stored(store):
    for frame in (pl.DataFrame({"a": []}, schema={"a": pl.Int64}), pl.DataFrame()):
        assert store.frame(store.put_frame(frame)).schema == frame.schema


def test_different_rows_or_names_have_different_digests(store):
    refs = [
        store.put_frame(pl.DataFrame(data)) for data in ({"a": [1]}, {"a": [2]}, {"b": [1]}, {"a": [1.0]})
    ]
    assert len({ref.sha256 for ref in refs}) == 4


def test_tree_comes_back_exactly_and_shared_files_are_stored_once(store, tmp_path):
    source = tmp_path / "bundle"
    (source / "empty").mkdir(parents=True)
    (source / "sub").mkdir()
    (source / "a.json").write_text("1")
    (source / "sub" / "b.json").write_text("1")
    ref = store.put_tree(source)
    assert ref == store.put_tree(source)
    into = store.restore_tree(ref, tmp_path / "out")
    found = {path.relative_to(into).as_posix(): path.is_dir() or path.read_text() for path in into.rglob("*")}
    assert found == {"empty": True, "sub": True, "a.json": "1", "sub/b.json": "1"}


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:evil", "", "a\x00b"])
def test_tree_cannot_write_outside_its_folder(store, tmp_path, name):
    member = store.put_bytes(b"x")
    tree = store.put_json({"files": {name: member.model_dump()}, "empty_folders": []})
    with pytest.raises(FieldworkError, match="not safe"):
        store.restore_tree(tree, tmp_path / "a" / "out")
    folder_tree = store.put_json({"files": {}, "empty_folders": [name]})
    with pytest.raises(FieldworkError, match="not safe"):
        store.restore_tree(folder_tree, tmp_path / "a" / "out")
    assert not (tmp_path / "a").exists()


def test_tree_with_links_is_refused(store, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "link").symlink_to("/etc/passwd")
    with pytest.raises(RequestError, match="a link or a device"):
        store.put_tree(tmp_path / "t")


def test_restoring_other_data_as_a_tree_is_refused(store, tmp_path):
    with pytest.raises(FieldworkError, match="Expected a stored folder"):
        store.restore_tree(store.put_json({"a": 1}), tmp_path / "out")


def test_incomplete_restore_leaves_no_folder(store, tmp_path):
    missing = Ref(path=f"00/{'0' * 64}", sha256="0" * 64, bytes=1)
    tree = store.put_json({"files": {"a": missing.model_dump()}, "empty_folders": []})
    with pytest.raises(FieldworkError, match="missing"):
        store.restore_tree(tree, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_blob_is_named_with_the_way_out(store):
    ref = Ref(path=f"00/{'0' * 64}.parquet", sha256="0" * 64, bytes=5)
    assert not store.has(ref)
    with pytest.raises(FieldworkError, match=r"missing: 00/0+\.parquet.*\n?.*--no-cache"):
        store.local_path(ref)


def test_damaged_blob_is_found_named_and_healed_by_storing_again(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    ref = store.put_bytes(b"some content")
    damage(store.local_path(ref))
    with pytest.raises(FieldworkError, match="damaged"):
        store.local_path(ref)
    assert store.put_bytes(b"some content") == ref
    assert store.local_path(ref).read_bytes() == b"some content"


def test_damaged_cache_is_fetched_again_but_a_damaged_remote_blob_is_an_error(tmp_path):
    store = Store(f"memory://{tmp_path.name}", tmp_path / "cache")
    ref = store.put_bytes(b"some content")
    damage(store.local_path(ref))
    assert store.local_path(ref).read_bytes() == b"some content"
    store.local_path(ref).unlink()
    fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/{ref.path}", b"other conten")
    with pytest.raises(FieldworkError, match="damaged"):
        store.local_path(ref)
    assert blobs(tmp_path / "cache") == []


def test_another_machine_reads_through_its_own_cache(tmp_path):
    url = f"memory://{tmp_path.name}"
    ref = Store(url, tmp_path / "one").put_frame(pl.DataFrame({"a": [1]}))
    assert Store(url, tmp_path / "two").frame(ref)["a"].to_list() == [1]


def test_half_uploaded_blob_is_not_taken_for_a_whole_one(tmp_path):
    store = Store(f"memory://{tmp_path.name}", tmp_path / "cache")
    ref = store.put_bytes(b"some content")
    fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/{ref.path}", b"some")
    assert not store.has(ref)
    store.put_bytes(b"some content")
    assert store.has(ref)


def test_blobs_are_read_only(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    assert store.local_path(store.put_bytes(b"x")).stat().st_mode & 0o222 == 0


def test_many_writers_of_the_same_content_agree(tmp_path):
    store = Store(tmp_path / "store", tmp_path / "cache")
    barrier, refs = threading.Barrier(8), []

    def write() -> None:
        barrier.wait(10)
        refs.append(store.put_bytes(b"x" * 100_000, ".bin"))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(refs) == 8
    assert len(set(refs)) == 1
    assert len(blobs(tmp_path / "store")) == 1


def test_file_keeps_its_suffix_and_a_folder_is_refused(store, tmp_path):
    (tmp_path / "t.v2.csv.gz").write_bytes(b"x")
    assert store.put_file(tmp_path / "t.v2.csv.gz").path.endswith(".csv.gz")
    with pytest.raises(RequestError, match="Expected a file"):
        store.put_file(tmp_path)


@pytest.mark.parametrize("url", ["s3://bucket/x", "nonsense://x"])
def test_store_that_cannot_be_opened_says_what_is_missing(tmp_path, url):
    with pytest.raises(RequestError, match=r"Cannot open the store.*FIELDWORK_STORE"):
        Store(url, tmp_path).put_bytes(b"x")


def test_default_store_follows_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path))
    monkeypatch.delenv("FIELDWORK_STORE", raising=False)
    ref = default_store().put_bytes(b"x")
    assert (tmp_path / "store" / ref.path).read_bytes() == b"x"
