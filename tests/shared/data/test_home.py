import subprocess
import sys
from pathlib import Path

import pytest

from shared.data.home import home
from shared.errors import RequestError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("FIELDWORK_HOME", "FIELDWORK_STORE", "FIELDWORK_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)


def test_default_is_the_platform_folder_and_nothing_is_created(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home().root == tmp_path / "fieldwork"
    assert not home().root.exists()


def test_environment_is_read_at_each_call(monkeypatch, tmp_path):
    for name in ("a", "b"):
        monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / name))
        assert home().root == tmp_path / name
        assert home().store_url == str(tmp_path / name / "store")
        assert home().mlflow_db == tmp_path / name / "mlflow.db"


def test_relative_and_tilde_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIELDWORK_HOME", "here")
    monkeypatch.setenv("FIELDWORK_STORE", "~/store")
    assert home().root == tmp_path / "here"
    assert home().store_url == str(Path.home() / "store")


def test_remote_store_and_artifacts_keep_their_url_and_stage_locally(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path))
    monkeypatch.setenv("FIELDWORK_STORE", "s3://bucket/store/")
    monkeypatch.setenv("FIELDWORK_ARTIFACTS", "s3://bucket/artifacts")
    assert home().store_url == "s3://bucket/store"
    assert home().artifacts == tmp_path / "artifacts"
    monkeypatch.setenv("FIELDWORK_ARTIFACTS", f"file://{tmp_path}/elsewhere")
    assert home().artifacts == tmp_path / "elsewhere"


@pytest.mark.parametrize("kind", ["file", "url"])
def test_home_that_cannot_be_a_folder_is_refused(monkeypatch, tmp_path, kind):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "file") if kind == "file" else "s3://bucket")
    with pytest.raises(RequestError, match="Expected FIELDWORK_HOME"):
        home()


def test_light_modules_import_nothing_heavy():
    code = (
        "import sys, shared.data.home, shared.data.files, shared.data.store, shared.data.datasets\n"
        "heavy = {'torch', 'polars', 'pandas', 'fsspec', 'numpy', 'mlflow', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
