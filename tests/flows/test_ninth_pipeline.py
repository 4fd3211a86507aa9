"""The ninth pipeline of CONTRIBUTING.md, built from the code blocks of that page and run as a user would."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import pipelines
from pipelines import catalogue
from shared.contracts import contract
from shared.publishing.registry import Registry

ROOT = Path(__file__).parents[2]
NAME = "flat_rents"
RUN = ("run", NAME, "--preset", "tiny")


def guide() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def files_of_the_guide() -> dict[str, str]:
    """Content by path: a fenced block below a line that is nothing but a path."""
    found = re.findall(
        r"^`([\w/.]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```$", guide(), flags=re.DOTALL | re.MULTILINE
    )
    return dict(found)


def catalogue_entry() -> catalogue.Pipeline:
    (text,) = re.findall(r"^```python\n(Pipeline\(\n.*?\n\))\n```$", guide(), flags=re.DOTALL | re.MULTILINE)
    fields = dict(re.findall(r'^    (\w+)="(.*)",$', text, flags=re.MULTILINE))
    (sources,) = re.findall(r"^    sources=\((.*)\),$", text, flags=re.MULTILINE)
    return catalogue.Pipeline(**fields, sources=tuple(re.findall(r'"(\w+)"', sources)))


@pytest.fixture(scope="module")
def ninth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the guide in a folder of their own, which Fieldwork takes for a part of itself."""
    folder = tmp_path_factory.mktemp("ninth")
    shutil.copytree(contract.CONTRACTS_FOLDER, folder / "data_contracts")
    for path, content in files_of_the_guide().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder / "pipelines")])
        patch.setattr(contract, "CONTRACTS_FOLDER", folder / "data_contracts")
        patch.setattr(catalogue, "PIPELINES", (*catalogue.PIPELINES, catalogue_entry()))
        yield folder
    for module in [name for name in sys.modules if name.startswith(f"pipelines.{NAME}")]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def fieldwork(ninth: Path, fieldwork_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fieldwork_in(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def summary(fieldwork: Any) -> dict[str, Any]:
    """The result of the first run."""
    document: dict[str, Any] = fieldwork(*RUN, "--json", "-").require_success().document
    return document


@pytest.fixture
def flats(ninth: Path) -> pl.DataFrame:
    """New flats, without rents."""
    from pipelines.flat_rents.data import generate  # type: ignore[import-not-found]

    frame: pl.DataFrame = generate(60, seed=7).drop("rent_eur")
    return frame


def test_guide_names_the_same_package_contracts_and_headline_as_its_catalogue_entry(summary):
    entry = catalogue_entry()
    assert entry.name == NAME
    assert {f"data_contracts/{name}.odcs.yaml" for name in (entry.input_contract, entry.output_contract)} == {
        path for path in files_of_the_guide() if path.startswith("data_contracts/")
    }
    assert entry.headline in summary["metrics"]


def test_code_of_the_guide_is_in_the_house_style(ninth):
    ruff = Path(sys.executable).parent / "ruff"
    here = 'lint.isort.known-first-party=["apps", "pipelines", "shared"]'
    options = (
        "--no-cache",
        "--config",
        ROOT / "pyproject.toml",
        "--config",
        here,
        ninth / "pipelines" / NAME,
    )
    for command in (("check",), ("format", "--check")):
        result = subprocess.run([ruff, *command, *options], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


def test_run_ends_with_interval_baselines_verdict_and_a_promoted_model(summary):
    rmse = summary["metrics"]["test/rmse"]
    assert rmse["low"] < rmse["value"] < rmse["high"]
    assert all(each["test/rmse"]["value"] > rmse["high"] for each in summary["baselines"].values())
    assert "beats rent by area" in summary["verdict"]
    assert summary["explanation"]["faithful"] is True
    assert summary["contract"] == "flats@1.0.0"
    assert summary["model"]["promoted"] is True


def test_noise_of_the_generator_is_all_that_is_left_unexplained(summary):
    assert 30 < summary["metrics"]["test/rmse"]["value"] < 70  # EUR; the noise has a standard deviation of 40


def test_run_leaves_report_model_card_and_a_registered_bundle(fieldwork, summary):
    bundle = Path(summary["model"]["bundle"])
    assert summary["verdict"] in (bundle / "report.html").read_text()
    assert "## Caveats" in (bundle / "model_card.md").read_text()
    with fieldwork.at_home():
        champion = Registry().champion(NAME)
        assert champion is not None
        assert Registry().bundle(NAME).folder == bundle


def test_same_run_again_reuses_its_steps_and_keeps_the_version(fieldwork, summary):
    again = fieldwork(*RUN, "--json", "-").require_success()
    assert again.document["model"]["version"] == summary["model"]["version"]
    assert "Reused from an earlier run: ingest, split, train, evaluate, explain, assemble" in again.stderr


def test_scoring_keeps_the_output_contract_explains_and_sets_broken_rows_aside(
    fieldwork, summary, flats, tmp_path
):
    broken = flats.with_columns(area_m2=pl.when(pl.int_range(pl.len()) == 3).then(-1.0).otherwise("area_m2"))
    broken.write_csv(tmp_path / "flats.csv")
    out = tmp_path / "rents.parquet"
    scored = fieldwork("score", NAME, tmp_path / "flats.csv", "--out", out, "--explain", "--json", "-")
    document = scored.require_success().document
    assert document["rows"] == {"in": 60, "quarantined": 1, "scored": 59}
    assert document["drift"]["drifted"] is False
    rents = pl.read_parquet(out)
    assert fieldwork("contract", "check", "flat_rents", out).exit_code == 0
    reasons = pl.read_parquet(document["explanations"])
    base = rents["rent_eur"].to_numpy() - reasons.drop("flat_id").sum_horizontal().to_numpy()
    assert np.ptp(base) < 0.01  # what the columns add up to is the rent, but for a constant
    assert pl.read_parquet(document["quarantine"])["flat_id"].to_list() == [flats["flat_id"][3]]


def test_explanations_find_the_known_causes_of_the_generator(fieldwork, summary, flats):
    from pipelines.flat_rents.score import Scorer  # type: ignore[import-not-found]

    with fieldwork.at_home():
        values = Scorer.from_bundle(Registry().bundle(NAME), "1").explain(flats).values
    slopes = [
        np.polyfit(flats[name].to_numpy(), values[:, column], 1)[0]
        for column, name in enumerate(("area_m2", "floor", "distance_km"))
    ]
    np.testing.assert_allclose(slopes, [9, 15, -25], rtol=0.25)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"flat_id": ["a"], "floor": [1], "distance_km": [2.0]}, "area_m2"),
        ({"flat_id": ["a", "a"], "area_m2": [50, 60], "floor": [1, 1], "distance_km": [2, 3]}, "flat_id"),
    ],
    ids=["missing column", "duplicate key"],
)
def test_table_that_breaks_the_contract_is_refused_in_plain_words(
    fieldwork, summary, tmp_path, columns, said
):
    pl.DataFrame(columns).write_csv(tmp_path / "flats.csv")
    outcome = fieldwork("score", NAME, tmp_path / "flats.csv", "--out", tmp_path / "out.csv")
    outcome.require_plain_failure(2, said, most_lines=4)
    assert not (tmp_path / "out.csv").exists()


def test_table_without_rents_cannot_be_trained_on(fieldwork, flats, tmp_path):
    flats.write_csv(tmp_path / "flats.csv")
    fieldwork(*RUN, "--quiet", "--data", tmp_path / "flats.csv").require_plain_failure(2, "rent_eur")
