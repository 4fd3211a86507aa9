import json

import pytest

from apps.cli.score import parse_version
from shared.errors import RequestError


@pytest.fixture
def applications(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a\n1\n")
    return path


def test_score_passes_paths_version_and_explain(invoke, toy, applications, tmp_path):
    out = tmp_path / "out.parquet"
    result = invoke("score", "toy-pipeline", applications, "--out", out, "--version", "7", "--explain")
    assert result.exit_code == 0, result.output
    assert toy.calls == [{"input": applications, "output": out, "version": "7", "explain": True}]
    assert "9 scored" in result.stdout
    assert "out.quarantine.parquet" in result.stdout
    assert "psi_max 0.0123, alert False" in result.stdout


def test_score_json_on_stdout_is_the_only_thing_there(invoke, toy, applications, tmp_path):
    result = invoke("score", "toy_pipeline", applications, "--out", tmp_path / "out.csv", "--json", "-")
    assert json.loads(result.stdout)["rows"] == {"in": 10, "quarantined": 1, "scored": 9}
    assert "9 scored" in result.stderr


def test_score_uses_the_champion_by_default(invoke, toy, applications, tmp_path):
    assert invoke("score", "toy_pipeline", applications, "--out", tmp_path / "o.csv").exit_code == 0
    assert toy.calls[0]["version"] == "champion"
    assert toy.calls[0]["explain"] is False


def test_score_never_overwrites_its_input(invoke, toy, applications, tmp_path):
    (tmp_path / "link.csv").symlink_to(applications)
    for out in (applications, tmp_path / "link.csv"):
        assert invoke("score", "toy_pipeline", applications, "--out", out).exit_code == 2
    assert toy.calls == []


def test_score_refuses_missing_input_and_impossible_output(invoke, toy, applications, tmp_path):
    assert invoke("score", "toy_pipeline", tmp_path / "no.csv", "--out", tmp_path / "o.csv").exit_code == 2
    assert invoke("score", "toy_pipeline", applications, "--out", tmp_path / "no" / "o.csv").exit_code == 2
    assert invoke("score", "toy_pipeline", applications, "--out", tmp_path).exit_code == 2
    assert invoke("score", "toy_pipeline", applications).exit_code == 2
    assert toy.calls == []


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "latest", "٣", "Champion", "1; drop", "9" * 5000])
def test_anything_but_champion_or_a_number_is_no_version(text):
    with pytest.raises(RequestError, match="Expected champion or a version number"):
        parse_version(text)


def test_version_is_reduced_to_its_plain_form():
    assert (parse_version("champion"), parse_version("007")) == ("champion", "7")
