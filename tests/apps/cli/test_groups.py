"""The groups contract, data and models: what they show, and with which exit code they end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines import catalogue
from shared.contracts.contract import available
from shared.data import datasets
from shared.errors import RequestError
from shared.publishing import registry
from shared.publishing.versions import ModelVersion

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: toys
name: toys
version: 1.2.0
status: active
description:
  purpose: Toys and their weight.
schema:
  - name: toys
    logicalType: object
    physicalType: table
    customProperties:
      - property: maxQuarantinedPercent
        value: 30
    properties:
      - name: toy_id
        logicalType: string
        required: true
        unique: true
        primaryKey: true
        primaryKeyPosition: 1
        description: Name of the toy.
      - name: weight_g
        logicalType: number
        logicalTypeOptions:
          minimum: 0
        required: true
        description: Weight of the toy.
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "toys.odcs.yaml"
    path.write_text(CONTRACT)
    return path


def write_table(folder: Path, *rows: str) -> Path:
    path = folder / "toys.csv"
    path.write_text("\n".join(["toy_id,weight_g", *rows]) + "\n")
    return path


def test_check_of_a_good_file_succeeds(invoke, contract, tmp_path):
    result = invoke("contract", "check", contract, write_table(tmp_path, "bear,300", "ball,80.5"))
    assert result.exit_code == 0, result.output
    assert "toys@1.2.0: 2 rows in, 2 valid, 0 to quarantine" in result.stdout


def test_check_within_the_limit_names_the_broken_row_and_succeeds(invoke, contract, tmp_path):
    rows = write_table(tmp_path, "bear,300", "ball,80", "cat,-5", "dog,7")
    result = invoke("contract", "check", contract, rows)
    assert result.exit_code == 0, result.output
    assert "4 rows in, 3 valid, 1 to quarantine" in result.stdout
    assert "weight_g" in result.stdout
    assert "-5" in result.stdout


def test_check_beyond_the_limit_exits_with_2(invoke, contract, tmp_path):
    result = invoke("contract", "check", contract, write_table(tmp_path, "bear,-1", "ball,-2", "cat,5"))
    assert result.exit_code == 2
    assert "toys@1.2.0" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("content", [None, b"", b"toy_id\nbear\n", b"toy_id,weight_g\nb\xe9ar,1\n"])
def test_check_of_a_file_that_cannot_be_used_exits_with_2_and_plain_lines(
    invoke, contract, tmp_path, content
):
    path = tmp_path / "toys.csv"
    if content is not None:
        path.write_bytes(content)
    result = invoke("contract", "check", contract, path)
    assert result.exit_code == 2, result.output
    assert result.stderr
    assert "unexpected" not in result.stderr


def test_show_lists_every_column_with_its_description(invoke, contract):
    result = invoke("contract", "show", contract)
    assert result.exit_code == 0, result.output
    for text in ("toys@1.2.0", "toy_id", "weight_g", "Weight of the toy."):
        assert text in result.stdout


def test_unknown_contract_exits_with_2(invoke):
    result = invoke("contract", "show", "nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


def test_list_names_the_contracts_of_the_repository(invoke):
    result = invoke("contract", "list")
    assert result.exit_code == 0, result.output
    assert all(f"{name}@" in result.stdout for name in available())


def make_version(version: int, *aliases: str) -> ModelVersion:
    return ModelVersion(
        pipeline="toy_pipeline",
        version=version,
        run_id="r",
        digest="d",
        source="s",
        contract="toys@1.0.0",
        table="synthetic",
        created_at="2026-11-20T12:00:00+00:00",
        aliases=aliases,
    )


@dataclass
class FakeRegistry:
    calls: list[Any]
    versions: list[ModelVersion]

    def list(self) -> "list[ModelVersion]":
        return self.versions

    def promote(self, pipeline: str, version: int) -> ModelVersion:
        self.calls.append(("promote", pipeline, version))
        return make_version(version, "champion")

    def rollback(self, pipeline: str) -> ModelVersion:
        if not self.versions:
            raise RequestError(f"{pipeline} has no earlier champion to go back to.")
        self.calls.append(("rollback", pipeline))
        return self.versions[0]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, flows) -> FakeRegistry:
    fake = FakeRegistry([], [])
    monkeypatch.setattr(registry, "Registry", lambda: fake)
    return fake


def test_models_list_shows_which_version_scores(invoke, models):
    models.versions = [make_version(4, "challenger"), make_version(3, "champion")]
    lines = invoke("models", "list").stdout.splitlines()
    assert ["champion" in line for line in lines if "toy_pipeline" in line] == [False, True]


def test_models_list_says_how_to_get_the_first_model(invoke, models):
    assert "fieldwork run" in invoke("models", "list").stdout


def test_promote_and_rollback_name_the_version(invoke, models):
    models.versions = [make_version(2)]
    assert "version 3 is champion" in invoke("models", "promote", "toy-pipeline", "3").stdout
    assert "version 2 is champion again" in invoke("models", "rollback", "toy-pipeline").stdout
    assert models.calls == [("promote", "toy_pipeline", 3), ("rollback", "toy_pipeline")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote", "toy_pipeline", "champion"),
        ("promote", "toy_pipeline", "0"),
        ("promote", "nonsense", "1"),
        ("promote", "toy_pipeline"),
        ("rollback", "toy_pipeline"),
        ("rollback", "nonsense"),
    ],
)
def test_wrong_model_request_exits_with_2_and_changes_nothing(invoke, models, arguments):
    result = invoke("models", *arguments)
    assert result.exit_code == 2, result.output
    assert models.calls == []


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "home"))
    return tmp_path


def test_data_path_prints_the_folder_and_nothing_else(invoke, monkeypatch, empty_home):
    folder = empty_home / "german_credit"
    folder.mkdir()
    (folder / "german.data").write_text("A11 6\n")
    monkeypatch.setenv("FIELDWORK_DATA", str(empty_home))
    result = invoke("data", "path", "german-credit")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{folder}\n", "")


def test_data_path_of_an_absent_set_exits_with_2_and_names_the_fetch_command(invoke, empty_home):
    result = invoke("data", "path", "german_credit")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "fieldwork data fetch german_credit" in result.stderr


def test_data_list_names_every_source_of_the_pipelines(invoke, empty_home):
    result = invoke("data", "list")
    assert result.exit_code == 0, result.output
    with_data = [
        pipeline for pipeline in catalogue.PIPELINES if pipeline.input_contract != "environment_card"
    ]
    sources = {source for pipeline in with_data for source in pipeline.sources[1:]}
    places = {line.split()[0]: line for line in result.stdout.splitlines() if "not fetched" in line}
    assert sources <= set(places)


def test_fetch_shows_digests_and_says_which_were_known_before(invoke, monkeypatch, empty_home):
    def fake_fetch(name, *, progress):
        progress(10, None)
        progress(20, 20)
        return datasets.Fetched(empty_home / name, {"a.csv": "11", "b.csv": "22"}, ("a.csv",))

    monkeypatch.setattr(datasets, "fetch", fake_fetch)
    result = invoke("data", "fetch", "toys")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("sha256 11  verified")
    assert "recorded" in lines[1]
    assert lines[2] == str(empty_home / "toys")


@pytest.mark.parametrize("command", ["path", "fetch"])
def test_unknown_data_set_exits_with_2_and_names_close_ones(invoke, empty_home, command):
    result = invoke("data", command, "german_credti")
    assert result.exit_code == 2, result.output
    assert "german_credit" in result.stderr
