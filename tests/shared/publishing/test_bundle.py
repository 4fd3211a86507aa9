import io
import json
import os
import pickle
import pickletools
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.errors import FieldworkError, RequestError
from shared.publishing.bundle import Bundle
from shared.publishing.bundle_files import refuse_executable, safe_name

Make = Callable[..., Bundle]


def test_everything_written_can_be_read_back(make_bundle: Make) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3), "b": np.ones(2, dtype=np.float16), "c": torch.tensor(1.5)}
    made = make_bundle(tensors=tensors, model_card="# Card", report_html="<p>", figures={"roc": "<svg/>"})
    found = Bundle.open(made.folder)
    assert found.config == {"value": 1.0, "layers": [8, 8]}
    assert found.metrics == {"loss": 1.0}
    assert found.json("features/columns.json") == ["a", "b"]
    assert found.text("figures/roc.svg") == "<svg/>"
    assert torch.equal(found.tensors()["a"], tensors["a"])
    assert found.tensors()["b"].dtype == torch.float16
    assert found.tensors()["c"].shape == ()


def test_manifest_says_where_the_model_came_from(make_bundle: Make) -> None:
    manifest = json.loads((make_bundle().folder / "manifest.json").read_text())
    assert manifest["contract"] == "widgets@1.0.0"
    assert manifest["seed"] == 7
    assert (
        manifest["environment"]["torch"] == torch.__version__.split("+")[0]
        or manifest["environment"]["torch"]
    )
    assert manifest["created_at"].endswith("+00:00")
    assert set(manifest["files"]) == {
        "config.json",
        "metrics.json",
        "features/columns.json",
        "model.safetensors",
    }


def test_tied_and_strided_weights_are_stored_whole(make_bundle: Make) -> None:
    shared = torch.randn(4, 4)
    tensors = {"one": shared, "two": shared, "turned": shared.T, "part": shared[1]}
    found = make_bundle(tensors=tensors).tensors()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_metrics_that_are_not_finite_become_null(make_bundle: Make) -> None:
    assert make_bundle(metrics={"loss": float("nan")}).metrics == {"loss": None}


def test_an_existing_bundle_is_never_overwritten(make_bundle: Make) -> None:
    first = make_bundle()
    with pytest.raises(FieldworkError, match="new or empty folder"):
        make_bundle(value=2.0)
    assert Bundle.open(first.folder).config["value"] == 1.0


def test_failed_write_leaves_nothing(make_bundle: Make, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.json").write_text("{}")
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        make_bundle(features=fail)
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from shared.publishing.bundle import BundleFacts, write_bundle
z = "0" * 64
digests = {"contract_digest": z, "input_digest": z, "code_digest": z}
facts = BundleFacts(pipeline="widgets", source="s", preset="p", contract="c@1", seed=1, **digests)
def die(folder):
    (folder / "half.json").write_text("{}")
    os.kill(os.getpid(), signal.SIGKILL)
write_bundle(Path(sys.argv[1]), facts, config={}, metrics={}, features=die)
"""


def test_killed_write_leaves_no_half_bundle_and_can_be_repeated(make_bundle: Make, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(target)], cwd=os.getcwd(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert make_bundle().folder == target


@pytest.mark.parametrize(
    "name", ["config.json", "metrics.json", "model.safetensors", "features/columns.json"]
)
def test_every_altered_file_is_noticed(make_bundle: Make, name: str) -> None:
    path = make_bundle().folder / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # same size, one bit
    path.write_bytes(content)
    with pytest.raises(FieldworkError, match=f"altered: {name}"):
        Bundle.open(path.parents[name.count("/")])


def test_missing_and_unknown_files_are_noticed(make_bundle: Make) -> None:
    folder = make_bundle().folder
    (folder / "extra.json").write_text("{}")
    with pytest.raises(FieldworkError, match=r"unknown: extra\.json"):
        Bundle.open(folder)
    (folder / "extra.json").unlink()
    (folder / "metrics.json").unlink()
    with pytest.raises(FieldworkError, match=r"missing: metrics\.json"):
        Bundle.open(folder)


def test_links_are_refused_even_when_their_content_is_right(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle().folder
    outside = tmp_path / "outside.json"
    os.replace(folder / "metrics.json", outside)
    (folder / "metrics.json").symlink_to(outside)
    with pytest.raises(FieldworkError, match="link"):
        Bundle.open(folder)


def _edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_manifest_cannot_point_outside_the_bundle(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle().folder
    (tmp_path / "secret.json").write_text("{}")
    entry = {"sha256": "0" * 64, "bytes": 2}
    _edit_manifest(folder, files={"../secret.json": entry})
    with pytest.raises(FieldworkError, match="damaged"):
        Bundle.open(folder)


def test_forged_manifest_is_noticed_with_the_registered_digest(make_bundle: Make) -> None:
    made = make_bundle()
    _edit_manifest(made.folder, seed=8)
    assert Bundle.open(made.folder).manifest.seed == 8
    with pytest.raises(FieldworkError, match="not the one that was registered"):
        Bundle.open(made.folder, digest=made.digest)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_manifest_gives_one_plain_line(make_bundle: Make, content: bytes) -> None:
    folder = make_bundle().folder
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(FieldworkError, match="damaged"):
        Bundle.open(folder)


def test_newer_format_says_what_to_do(make_bundle: Make) -> None:
    folder = make_bundle().folder
    _edit_manifest(folder, format=99)
    with pytest.raises(FieldworkError, match="has format 99, this release reads 1"):
        Bundle.open(folder)


def test_folder_without_manifest_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Expected a bundle"):
        Bundle.open(tmp_path)


UNSAFE = ["../a.json", "/a.json", "a/../b.json", "a\\b.json", "a//b.json", "", "a.pkl"]
UNSAFE += ["C:a.json", ".a.json", "a.json\n", "a /b.json", "n\0.json"]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(FieldworkError):
        safe_name(name)


def test_names_that_differ_only_in_case_are_refused(make_bundle: Make) -> None:
    with pytest.raises(FieldworkError, match="one file on some machines"):
        make_bundle(files={"Notes.md": "a", "notes.md": "b"})


def _zipped_pickle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"a": 1}))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [pickle.dumps([1]), pickle.dumps([1], protocol=2), _zipped_pickle()])
def test_pickles_do_not_get_in_under_another_name(make_bundle: Make, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FieldworkError, match="pickle or an archive"):
        make_bundle(files={"weights.json": content})
    assert not (tmp_path / "bundle").exists()


def test_no_file_of_a_bundle_is_a_pickle(make_bundle: Make) -> None:
    for path in make_bundle(model_card="# Card", report_html="<p></p>").folder.rglob("*.*"):
        content = path.read_bytes()
        assert not zipfile.is_zipfile(io.BytesIO(content))
        with pytest.raises(Exception):  # noqa: B017 - the parser of opcodes fails in many ways
            list(pickletools.genops(content))


def test_safetensors_with_a_header_of_640_bytes_is_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((640).to_bytes(8, "little") + b"{" + b" " * 639)
    assert path.read_bytes()[:2] == b"\x80\x02"
    refuse_executable(path, path.name)
