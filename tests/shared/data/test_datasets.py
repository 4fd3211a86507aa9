import json
import os
import zipfile
from pathlib import Path

import pytest

from shared.data import datasets
from shared.data.datasets import fetch, find, locate, status
from shared.data.files import sha256_file
from shared.data.public_sets import PublicSet, Source, public_sets
from shared.errors import FieldworkError, RequestError

public_data = Path(os.environ.get("FIELDWORK_DATA", "/nowhere"))


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)


@pytest.fixture
def web(monkeypatch, tmp_path):
    """Files by address, served without a network; counts the requests."""
    files: dict[str, bytes] = {}
    requests: list[str] = []

    def download(url, target, *, sha256, progress, pause_seconds):
        requests.append(url)
        if url not in files:
            raise FieldworkError(f"Cannot download {url}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[url])

    monkeypatch.setattr(datasets, "download", download)
    files["requests"] = requests
    return files


def register(monkeypatch, **fields) -> None:
    fields = {
        "title": "t",
        "domain": "d",
        "licence": "l",
        "citation": "c",
        "page": "p",
        "forms": (("a.csv",),),
    } | fields
    monkeypatch.setattr(datasets, "public_sets", lambda: {"toy_set": PublicSet(name="toy_set", **fields)})


def zipped(path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path.read_bytes()


def test_catalogue_is_complete_and_consistent():
    sets = public_sets()
    assert len(sets) == 11
    for item in sets.values():
        assert item.licence
        assert item.citation
        assert item.page.startswith("http")
        assert bool(item.sources) != bool(item.by_hand)


def test_names_accept_dashes_and_mistakes_bring_matches():
    assert find("MovieLens-100k").name == "movielens_100k"
    with pytest.raises(RequestError, match="Did you mean movielens_100k"):
        find("movielens")
    with pytest.raises(RequestError, match="fieldwork data list"):
        find("zzz")


def test_given_folder_wins_over_the_home_and_must_have_the_files(monkeypatch, tmp_path):
    own, given = tmp_path / "home" / "datasets" / "gowalla", tmp_path / "data" / "gowalla"
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path / "data"))
    for folder in (own, given):
        folder.mkdir(parents=True)
    (own / "train.txt").touch()
    with pytest.raises(RequestError, match="lacks its files"):
        locate("gowalla")
    (own / "test.txt").touch()
    assert locate("gowalla") == own
    for name in ("train.txt", "test.txt"):
        (given / name).touch()
    assert locate("gowalla") == given


def test_absent_set_names_the_fetch_command_or_the_way_by_hand():
    with pytest.raises(RequestError, match="fieldwork data fetch gowalla"):
        locate("gowalla")
    with pytest.raises(RequestError, match="pickled"):
        locate("fraud_handbook")
    with pytest.raises(RequestError, match="pickled"):
        fetch("fraud_handbook")


def test_status_lists_all_with_their_place(tmp_path):
    folder = tmp_path / "home" / "datasets" / "gowalla"
    folder.mkdir(parents=True)
    for name in ("train.txt", "test.txt"):
        (folder / name).touch()
    rows = {row.name: row for row in status()}
    assert rows["gowalla"].path == folder
    assert rows["cmapss"].path is None
    assert not rows["fraud_handbook"].fetchable


def test_fetch_places_files_and_records_their_digests(monkeypatch, tmp_path, web):
    url = "https://host/toy.zip"
    web[url] = zipped(tmp_path / "z.zip", {"pack/a.csv": b"1", "pack/._a.csv": b"junk", "pack/other": b"2"})
    register(monkeypatch, sources=(Source(url=url, file_name="toy.zip", members={"*a.csv": "*"}),))
    fetched = fetch("toy-set")
    assert fetched.path == locate("toy_set") == tmp_path / "home" / "datasets" / "toy_set"
    assert fetched.sha256 == {"a.csv": sha256_file(fetched.path / "a.csv")}
    assert fetched.verified == ()
    record = json.loads((fetched.path / "fetched.json").read_text())
    assert record["sources"][0]["url"] == url
    assert {path.name for path in fetched.path.iterdir()} == {"a.csv", "fetched.json"}
    assert not (tmp_path / "home" / "cache" / "downloads" / "toy_set").exists()
    fetch("toy_set")
    assert web["requests"] == [url]


def test_archive_in_an_archive_is_unpacked(monkeypatch, tmp_path, web):
    inner = zipped(tmp_path / "i.zip", {"a_1.txt": b"1", "b.txt": b"2"})
    web["https://host/x.zip"] = zipped(tmp_path / "o.zip", {"6. Set/inner.zip": inner, "6. Set/readme": b""})
    source = Source(
        url="https://host/x.zip",
        file_name="x.zip",
        inner_archive="*inner.zip",
        members={"*a_?.txt": "d/?.csv"},
    )
    register(monkeypatch, sources=(source,), forms=(("d/a_1.csv",),))
    assert (fetch("toy_set").path / "d" / "a_1.csv").read_bytes() == b"1"


def test_header_is_replaced_and_a_changed_file_noticed(monkeypatch, web):
    source = Source(url="https://host/a.csv", file_name="a.csv", header="id,age")
    register(monkeypatch, sources=(source,))
    web[source.url] = b"X1,X2\n1,2\n"
    assert (fetch("toy_set").path / "a.csv").read_bytes() == b"id,age\n1,2\n"


def test_file_with_other_columns_is_refused(monkeypatch, web):
    source = Source(url="https://host/a.csv", file_name="a.csv", header="id,age")
    register(monkeypatch, sources=(source,))
    web[source.url] = b"X1,X2,X3\n1,2,3\n"
    with pytest.raises(FieldworkError, match="Expected 2 columns"):
        fetch("toy_set")


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"sha256": {"a.csv": "0" * 64}}, "as pinned"), ({"forms": (("b.csv",),)}, "Expected b.csv in toy_set")],
)
def test_other_content_than_pinned_or_expected_is_not_kept(monkeypatch, tmp_path, web, fields, message):
    register(monkeypatch, sources=(Source(url="https://host/a.csv", file_name="a.csv"),), **fields)
    web["https://host/a.csv"] = b"1"
    with pytest.raises(FieldworkError, match=message):
        fetch("toy_set")
    assert not (tmp_path / "home" / "datasets" / "toy_set").exists()


def test_pinned_files_are_reported_as_verified(monkeypatch, tmp_path, web):
    (tmp_path / "x").write_bytes(b"1")
    digest = sha256_file(tmp_path / "x")
    register(
        monkeypatch, sources=(Source(url="https://host/a.csv", file_name="a.csv"),), sha256={"a.csv": digest}
    )
    web["https://host/a.csv"] = b"1"
    assert fetch("toy_set").verified == ("a.csv",)


def test_interrupted_fetch_keeps_complete_downloads_for_the_next(monkeypatch, web):
    sources = tuple(Source(url=f"https://host/{name}", file_name=name) for name in ("a.csv", "b.csv"))
    register(monkeypatch, sources=sources)
    web["https://host/a.csv"] = b"1"
    with pytest.raises(FieldworkError, match="Cannot download"):
        fetch("toy_set")
    web["https://host/b.csv"] = b"2"
    fetch("toy_set")
    assert web["requests"].count("https://host/a.csv") == 1


def test_files_of_the_user_in_the_way_are_not_touched(monkeypatch, tmp_path, web):
    register(monkeypatch, sources=(Source(url="https://host/a.csv", file_name="a.csv"),))
    mine = tmp_path / "home" / "datasets" / "toy_set" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with pytest.raises(FieldworkError, match="with other files"):
        fetch("toy_set")
    assert mine.exists()
    assert web["requests"] == []


@pytest.mark.real
@pytest.mark.skipif(not public_data.is_dir(), reason="FIELDWORK_DATA is not set")
def test_real_copies_are_found_and_have_the_pinned_digests(monkeypatch):
    monkeypatch.setenv("FIELDWORK_DATA", str(public_data))
    found = {row.name: row.path for row in status() if row.path is not None}
    assert found
    for name, folder in found.items():
        for file_name, digest in find(name).sha256.items():
            assert sha256_file(folder / file_name) == digest
