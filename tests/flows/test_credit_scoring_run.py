"""One run from an empty home: the JSON that users build on, the evidence behind it, and what it leaves where."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

HEADLINES = ("roc_auc", "gini", "ks", "average_precision", "brier", "ece")
BASELINES = ("logistic_regression", "scorecard", "gradient_boosting")
STEPS = ["ingest", "split", "train", "evaluate", "explain", "assemble", "publish"]


@dataclass(frozen=True)
class FirstRun:
    """The first run on a machine: an empty data home, a server of its own, a user folder that must stay clean."""

    fieldwork: Any
    outcome: Any
    user_folder: Path
    temporary_folder: Path

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.outcome.document
        return document


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any, tiny: Sequence[str]) -> FirstRun:
    folder = tmp_path_factory.mktemp("first_run")
    user_folder, temporary_folder = folder / "user", folder / "tmp"
    user_folder.mkdir()
    temporary_folder.mkdir()
    fieldwork = fieldwork_in(folder / "home")
    environment = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"))
    environment |= {"HOME": str(user_folder), "TMPDIR": str(temporary_folder)}
    outcome = fieldwork.process(*tiny, "--json", "-", own_server=True, environment=environment)
    return FirstRun(fieldwork, outcome.require_success(), user_folder, temporary_folder)


def test_json_has_exactly_the_promised_keys(first_run):
    document = first_run.document
    assert list(document) == [
        "pipeline", "run_id", "preset", "source", "contract", "rows", "metrics", "baselines", "verdict",
        "explanation", "model", "training", "seconds", "report",
    ]  # fmt: skip
    assert document["rows"].keys() == {"in", "quarantined", "train", "validation", "test"}
    assert document["explanation"].keys() == {"method", "completeness_error", "faithful"}
    assert document["model"].keys() == {"name", "version", "promoted", "bundle"}
    assert document["training"].keys() == {"device", "samples_per_second", "epochs", "seconds"}
    assert list(document["seconds"]) == STEPS


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    assert [document[key] for key in ("pipeline", "preset", "source")] == [
        "credit_scoring",
        "tiny",
        "synthetic",
    ]
    assert document["contract"].startswith("credit_applications@1.")
    assert len(document["run_id"]) == 32
    rows = document["rows"]
    assert rows["in"] == 600 == rows["quarantined"] + rows["train"] + rows["validation"] + rows["test"]
    assert document["training"]["epochs"] == 12
    assert document["training"]["samples_per_second"] > 0
    assert document["explanation"]["completeness_error"] < 1e-3
    assert all(seconds > 0 for seconds in document["seconds"].values())
    assert document["verdict"].startswith("The network")


def test_every_metric_has_interval_direction_unit_and_count(first_run):
    document = first_run.document
    models = {"network": document["metrics"], **document["baselines"]}
    assert models.keys() == {"network", *BASELINES}
    for metrics in models.values():
        assert {f"test/{name}" for name in HEADLINES} <= metrics.keys()
        for name, metric in metrics.items():
            assert list(metric) == ["value", "low", "high", "unit", "higher_is_better", "n"]
            assert metric["low"] <= metric["value"] <= metric["high"], name
            assert metric["n"] == document["rows"]["test"]
            assert metric["higher_is_better"] is (
                name.removeprefix("test/") not in ("brier", "ece", "log_loss")
            )


def test_gini_follows_from_roc_auc(first_run):
    for metrics in (first_run.document["metrics"], *first_run.document["baselines"].values()):
        assert metrics["test/gini"]["value"] == pytest.approx(2 * metrics["test/roc_auc"]["value"] - 1)


def test_bundle_and_report_are_where_the_json_says_and_hold_nothing_pickled(first_run):
    bundle, report = Path(first_run.document["model"]["bundle"]), Path(first_run.document["report"])
    assert report.parent == bundle
    assert bundle.is_relative_to(first_run.fieldwork.home)
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {
        "manifest.json",
        "model.safetensors",
        "config.json",
        "metrics.json",
        "model_card.md",
        "report.html",
    } <= names
    kinds = {path.suffix for path in first_run.fieldwork.home.rglob("*") if path.is_file()}
    assert not kinds & {".pkl", ".pickle", ".joblib", ".npy", ".pt", ".pth"}


def test_people_see_progress_and_summary_on_stderr_while_stdout_is_json(first_run):
    shown = first_run.outcome.stderr
    for step in STEPS:
        assert f"\n  {step} " in shown
    for part in (
        "credit_scoring: preset tiny, data synthetic",
        "logistic regression",
        "verdict",
        "report.html",
    ):
        assert part in shown
    assert "Traceback" not in shown
    assert "Warning" not in shown


def test_nothing_is_written_outside_the_data_home(first_run):
    assert list(first_run.user_folder.rglob("*")) == []
    assert list(first_run.temporary_folder.rglob("*")) == []


def test_home_holds_what_the_architecture_names_and_no_leftovers(first_run):
    home = first_run.fieldwork.home
    known = {
        "artifacts", "cache", "checkpoints", "locks", "mlflow.db", "mlflow.db.lock", "mlflow.db.setup.lock",
        "prefect", "results", "store",
    }  # fmt: skip
    assert {path.name for path in home.iterdir()} <= known
    assert not list(home.rglob(".fieldwork-*"))
    assert not list(home.glob("prefect/server-*.log"))
    assert not list(home.glob("checkpoints/**/*.pt"))


def test_second_identical_run_trains_nothing_and_says_so(first_run, tiny):
    again = first_run.fieldwork(*tiny, "--json", "-").require_success()
    for step in STEPS[:-1]:
        assert f"\n  {step:<10} reused from an earlier run" in again.stderr
    assert "--no-cache computes them again" in again.stderr
    assert again.document | {"seconds": {}} == first_run.document | {"seconds": {}}


def test_quiet_run_with_a_json_file_prints_nothing(first_run, tiny, tmp_path):
    outcome = first_run.fieldwork(*tiny, "--quiet", "--json", tmp_path / "run.json").require_success()
    assert (outcome.stdout, outcome.stderr) == ("", "")
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["metrics"] == first_run.document["metrics"]


def parts_of(first_run, step: str) -> dict:
    [path] = (first_run.fieldwork.home / "results").glob(f"{step}-*.json")
    return json.loads(path.read_text())["result"]


@pytest.fixture
def test_part(first_run) -> pl.DataFrame:
    from shared.data.store import Ref, default_store

    with first_run.fieldwork.at_home():
        return default_store().frame(Ref.model_validate(parts_of(first_run, "split")["test"]))


@pytest.fixture
def predictions(first_run) -> pl.DataFrame:
    from shared.data.store import Ref, default_store

    with first_run.fieldwork.at_home():
        return default_store().frame(Ref.model_validate(parts_of(first_run, "evaluate")["table"]))


def test_scorer_of_the_published_bundle_gives_the_scores_of_the_evaluation(first_run, test_part, predictions):
    from pipelines.credit_scoring.score import Scorer
    from shared.publishing.registry import Registry

    with first_run.fieldwork.at_home():
        scorer = Scorer.from_bundle(Registry().bundle("credit_scoring"), "1")
    assert test_part["application_id"].to_list() == predictions["application_id"].to_list()
    np.testing.assert_allclose(scorer.probability(test_part), predictions["network"], rtol=0, atol=1e-6)


def test_score_command_gives_the_scores_of_the_evaluation(first_run, test_part, predictions, tmp_path):
    test_part.sample(fraction=1.0, shuffle=True, seed=1).write_csv(tmp_path / "test.csv")
    first_run.fieldwork(
        "score", "credit_scoring", tmp_path / "test.csv", "--out", tmp_path / "out.parquet"
    ).require_success()
    scored = pl.read_parquet(tmp_path / "out.parquet")
    both = predictions.join(scored, on="application_id", validate="1:1")
    assert len(both) == len(predictions)
    np.testing.assert_allclose(both["probability_of_default"], both["network"], rtol=0, atol=1e-6)


def test_metrics_are_those_of_the_stored_predictions(first_run, predictions):
    from sklearn.metrics import brier_score_loss, roc_auc_score

    y, probability = predictions["defaulted"].to_numpy(), predictions["network"].to_numpy()
    metrics = first_run.document["metrics"]
    assert metrics["test/roc_auc"]["value"] == pytest.approx(roc_auc_score(y, probability))
    assert metrics["test/brier"]["value"] == pytest.approx(brier_score_loss(y, probability))


def test_parts_do_not_share_applications(first_run):
    from shared.data.store import Ref, default_store

    with first_run.fieldwork.at_home():
        frames = [
            default_store().frame(Ref.model_validate(parts_of(first_run, "split")[name]))
            for name in ("train", "validation", "test")
        ]
    ids = pl.concat(frames)["application_id"]
    assert ids.n_unique() == len(ids) == 600
