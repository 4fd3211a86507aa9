"""One run from an empty home: the JSON that users build on, the evidence behind it, and what it leaves where."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

HEADLINES = ("recall_at_20", "ndcg_at_20", "hit_rate_at_10", "ndcg_at_10", "hit_rate_at_10_sampled99")
KINDS = {"popularity", "item_knn", "ease", "ials", "mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid"}
STEPS = ["ingest", "split", "train", "evaluate", "explain", "assemble", "publish"]


@dataclass(frozen=True)
class FirstRun:
    """The first run on a machine: all models, an empty data home, a server of its own."""

    fieldwork: Any
    outcome: Any

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.outcome.document
        return document

    @property
    def models(self) -> dict[str, Any]:
        """Metrics of the served model and of all others."""
        return {"served": self.document["metrics"], **self.document["baselines"]}

    def result(self, step: str) -> dict[str, Any]:
        [path] = (self.fieldwork.home / "results").glob(f"{step}-*.json")
        result: dict[str, Any] = json.loads(path.read_text())["result"]
        return result

    def frame(self, step: str, name: str) -> pl.DataFrame:
        """A table that a step has left in the store."""
        from shared.data.store import Ref, default_store

        with self.fieldwork.at_home():
            return default_store().frame(Ref.model_validate(self.result(step)[name]))


@pytest.fixture(scope="module")
def first_run(
    tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any, tiny_recommender: Sequence[str]
) -> FirstRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("first_run") / "home")
    outcome = fieldwork(*tiny_recommender, "--json", "-")
    return FirstRun(fieldwork, outcome.require_success())


@pytest.fixture(scope="module")
def before(first_run) -> pl.DataFrame:
    """Everything known before the test part."""
    return pl.concat([first_run.frame("split", "train"), first_run.frame("split", "validation")])


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


def test_json_says_what_was_run_on_what(first_run, generated):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source")]
    assert names == ["recommender", "tiny", "synthetic"]
    assert document["contract"].startswith("interactions@1.")
    rows = document["rows"]
    assert rows["in"] == len(generated.interactions) == rows["train"] + rows["validation"] + rows["test"]
    assert rows["validation"] == rows["test"] == 150, "the last two interactions of each user"
    assert rows["quarantined"] == 0
    assert 1 <= document["training"]["epochs"] <= 4
    assert document["training"]["samples_per_second"] > 0
    assert document["explanation"]["completeness_error"] < 1e-3
    assert all(seconds > 0 for seconds in document["seconds"].values())


def test_every_metric_has_interval_direction_unit_and_count(first_run):
    for metrics in first_run.models.values():
        assert {f"test/{name}" for name in HEADLINES} <= metrics.keys()
        for name, metric in metrics.items():
            assert list(metric) == ["value", "low", "high", "unit", "higher_is_better", "n"]
            assert metric["low"] <= metric["value"] <= metric["high"], name
            assert metric["n"] == 150, "users, not interactions"
            # much or little of the long tail is neither better nor worse by itself
            assert metric["higher_is_better"] is (None if name == "test/long_tail_share" else True)


def test_every_model_but_the_served_one_stands_beside_it(first_run):
    served = json.loads((Path(first_run.document["model"]["bundle"]) / "metrics.json").read_text())["served"]
    assert first_run.document["baselines"].keys() == KINDS - {served}


def test_verdict_sets_the_best_network_against_every_alternative_and_names_the_served_model(first_run):
    verdict = first_run.document["verdict"]
    assert verdict.startswith("The best network, ")
    for title in ("Popularity", "Item neighbours", "EASE", "iALS", "Matrix factorisation"):
        assert title in verdict
    assert "Served is " in verdict
    assert "a network is" in verdict or "a network should not be used" in verdict


def test_models_that_learn_tastes_beat_popularity_on_generated_tastes(first_run):
    popular = first_run.document["baselines"]["popularity"]["test/ndcg_at_20"]
    assert max(metrics["test/ndcg_at_20"]["value"] for metrics in first_run.models.values()) > popular["high"]


def test_bundle_and_report_are_where_the_json_says_and_hold_nothing_pickled(first_run):
    bundle, report = Path(first_run.document["model"]["bundle"]), Path(first_run.document["report"])
    assert report.parent == bundle
    assert bundle.is_relative_to(first_run.fieldwork.home)
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {
        "manifest.json", "model.safetensors", "config.json", "metrics.json", "model_card.md", "report.html",
        "profile.json", "features/items.parquet", "features/users.parquet", "features/past.safetensors",
        "features/ranker.json",
    } <= names  # fmt: skip
    kinds = {path.suffix for path in first_run.fieldwork.home.rglob("*") if path.is_file()}
    assert not kinds & {".pkl", ".pickle", ".joblib", ".npy", ".pt", ".pth"}


def test_people_see_each_model_and_the_summary_on_stderr_while_stdout_is_json(first_run):
    shown = first_run.outcome.stderr
    for step in STEPS:
        assert f"\n  {step} " in shown
    for part in ("recommender: preset tiny, data synthetic", "Pre-trained NeuMF", "verdict", "report.html"):
        assert part in shown
    assert "Traceback" not in shown
    assert "Warning" not in shown


def test_home_holds_no_leftovers(first_run):
    home = first_run.fieldwork.home
    assert not list(home.rglob(".fieldwork-*"))
    assert not [path for path in (home / "checkpoints").rglob("*") if path.is_file()]


def test_second_identical_run_trains_nothing_and_says_so(first_run, tiny_recommender):
    again = first_run.fieldwork(*tiny_recommender, "--json", "-").require_success()
    for step in STEPS[:-1]:
        assert f"\n  {step:<10} reused from an earlier run" in again.stderr
    assert again.document | {"seconds": {}} == first_run.document | {"seconds": {}}


def test_parts_do_not_share_a_pair_and_respect_time(first_run):
    parts = [first_run.frame("split", name) for name in ("train", "validation", "test")]
    pairs = pl.concat(parts).select("user_id", "item_id")
    assert pairs.n_unique() == len(pairs)
    for earlier, later in pairwise(parts):
        last = earlier.group_by("user_id").agg(pl.col("interacted_at").max().alias("last"))
        assert (
            (later.join(last, on="user_id").select(pl.col("interacted_at") >= pl.col("last")))
            .to_series()
            .all()
        )


def test_metrics_are_means_over_the_users_of_the_stored_table(first_run):
    table = first_run.frame("evaluate", "table")
    for kind, metrics in first_run.document["baselines"].items():
        for name in HEADLINES:
            assert metrics[f"test/{name}"]["value"] == pytest.approx(table[f"{kind}/{name}"].mean())


def test_score_command_gives_the_lists_of_the_evaluation(first_run, before, tmp_path):
    """Hit rate and NDCG at 10 counted by hand in the file that a user gets."""
    before.sample(fraction=1.0, shuffle=True, seed=1).write_csv(tmp_path / "before.csv")
    out = tmp_path / "out.parquet"
    first_run.fieldwork("score", "recommender", tmp_path / "before.csv", "--out", out).require_success()
    test = first_run.frame("split", "test")
    found = test.join(pl.read_parquet(out), on=["user_id", "item_id"], how="left", validate="1:1")
    gain = (1 / (pl.col("rank").cast(pl.Float64) + 1).log(2)).fill_null(0.0)
    by_hand = found.select("user_id", hit=pl.col("rank").is_not_null().cast(pl.Float64), ndcg=gain)
    metrics = first_run.document["metrics"]
    assert by_hand["hit"].mean() == pytest.approx(metrics["test/hit_rate_at_10"]["value"])
    assert by_hand["ndcg"].mean() == pytest.approx(metrics["test/ndcg_at_10"]["value"])


def test_scorer_of_the_published_bundle_gives_each_user_the_number_of_the_evaluation(first_run, before):
    from pipelines.recommender.publish import headline_per_user
    from pipelines.recommender.score import Scorer
    from shared.publishing.registry import Registry

    with first_run.fieldwork.at_home():
        scorer = Scorer.from_bundle(Registry().bundle("recommender"), "1")
    found = headline_per_user(scorer, before, first_run.frame("split", "test"))
    table = first_run.frame("evaluate", "table")
    both = table.join(found, on="user_id", validate="1:1")
    assert len(both) == len(table) == 150
    np.testing.assert_allclose(both["ndcg_at_20"], both[f"{scorer.kind}/ndcg_at_20"], rtol=0, atol=1e-6)
