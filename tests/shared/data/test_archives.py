import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from shared.data import archives
from shared.data.archives import unpack
from shared.errors import FieldworkError, RequestError


def make(path: Path, members: list[tuple[str, bytes]]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as file:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=["a.zip", "a.tar.gz", "a.tar"])
def archive(request, tmp_path):
    return tmp_path / request.param


def test_files_arrive_in_their_folders(archive, tmp_path):
    make(archive, [("top.txt", b"1"), ("sub/deep/b.txt", b"22")])
    files = unpack(archive, tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in files} == {
        "top.txt": b"1",
        "sub/deep/b.txt": b"22",
    }


def test_members_can_be_chosen_and_moved(archive, tmp_path):
    make(archive, [("x/keep.csv", b"1"), ("x/readme", b"2")])
    files = unpack(archive, tmp_path / "out", place=lambda name: "data.csv" if name.endswith("csv") else None)
    assert [path.name for path in files] == ["data.csv"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/abs/evil", "..\\evil", "C:\\evil"])
def test_no_member_leaves_the_folder(archive, tmp_path, name):
    make(archive, [("good", b"1"), (name, b"x")])
    with pytest.raises(FieldworkError, match="inside the folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "out").exists()
    assert not list(tmp_path.rglob("evil"))


def test_chosen_place_cannot_leave_the_folder_either(archive, tmp_path):
    make(archive, [("good", b"1")])
    with pytest.raises(FieldworkError, match="inside the folder"):
        unpack(archive, tmp_path / "out", place=lambda name: f"../{name}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(FieldworkError, match="link or device"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(FieldworkError, match="the link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_bomb_is_stopped_by_its_ratio_while_unpacking(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "_RATIO_FROM_BYTES", 1 << 20)
    make(tmp_path / name, [("zeros", bytes(4 << 20))])
    with pytest.raises(FieldworkError, match="far more than an honest archive"):
        unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_total_over_all_members_counts(archive, tmp_path):
    make(archive, [(f"f{number}", bytes(1000)) for number in range(5)])
    with pytest.raises(FieldworkError, match="far more"):
        unpack(archive, tmp_path / "out", limit_bytes=4000)
    assert len(unpack(archive, tmp_path / "out", limit_bytes=5000)) == 5


def test_number_of_members_is_limited(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 3)
    make(archive, [(f"f{number}", b"") for number in range(4)])
    with pytest.raises(FieldworkError, match="at most 3 files"):
        unpack(archive, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a", "./a"), ("a", "a/b")])
def test_members_that_collide_are_refused(archive, tmp_path, names):
    make(archive, [(name, b"x") for name in names])
    with pytest.raises(FieldworkError, match=r"twice|whole zip or tar"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), b"PK\x03\x04 broken"],
    ids=["empty", "text", "gzip", "zip"],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FieldworkError, match="Expected a whole zip or tar"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_truncated_or_damaged_archive_leaves_nothing(archive, tmp_path):
    make(archive, [("a", bytes(range(256)) * 2000), ("b", b"x" * 2000)])
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(FieldworkError, match="Expected a whole zip or tar"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_flipped_bit_in_a_zip_is_found(tmp_path):
    make(tmp_path / "a.zip", [("a", b"some text that is stored here")])
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[40] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FieldworkError, match="Expected a whole zip or tar"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_missing_archive_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
