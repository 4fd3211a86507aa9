"""What is said about the test beats: metrics with intervals, cards of recordings, what happens end to end."""

import numpy as np
import polars as pl
import pytest

from pipelines.ecg_anomaly.baselines import TITLES as BASELINES
from pipelines.ecg_anomaly.config import EcgConfig, EvaluationConfig
from pipelines.ecg_anomaly.evaluate import TestResults as Results
from pipelines.ecg_anomaly.evaluate import end_to_end, evaluation_document, over_records

CONFIG = EcgConfig(evaluation=EvaluationConfig(num_bootstraps=50))


def made(seed: int = 0, share: float = 0.01) -> pl.DataFrame:
    """Eight patients of 400 beats. Abnormal beats score higher; the one baseline is noise."""
    rng = np.random.default_rng(seed)
    record = np.repeat(np.arange(8), 400)
    beat_class = rng.choice(["N", "S", "V", "F", "Q"], len(record), p=[0.85, 0.05, 0.07, 0.02, 0.01])
    shift = np.array([{"N": 0.0, "S": 2.0, "V": 4.0, "F": 2.0, "Q": 1.0}[one] for one in beat_class])
    score = rng.normal(0, 1, len(record)) + shift
    return pl.DataFrame(
        {
            "record": record.astype(str),
            "patient": record.astype(str),
            "beat_class": beat_class,
            "signal_quality": rng.uniform(0.9, 1, len(record)),
            "score": score,
            "flagged": score > np.quantile(score[beat_class == "N"], 1 - share),
            "flagged_textbook": score > 3,
            "predicted_class": beat_class,
            "interval_rule": rng.normal(0, 1, len(record)),
        }
    )


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(made(), CONFIG)


def test_every_metric_has_an_interval_over_patients(results):
    metrics = results.metrics("detector")
    assert {"test/auroc", "test/auroc_v", "test/auroc_s", "test/false_alarm_rate"} <= metrics.keys()
    for name, metric in metrics.items():
        assert metric.low <= metric.value <= metric.high, name
        assert metric.n == 8, name
    assert metrics["test/auroc_v"].value > metrics["test/auroc_s"].value > 0.85


def test_the_false_alarm_rate_is_the_share_of_normal_beats_that_were_flagged(results):
    normal = results.table.filter(beat_class="N")
    metric = results.metrics("detector")["test/false_alarm_rate"]
    assert metric.value == pytest.approx(normal["flagged"].mean())
    assert metric.higher_is_better is False


def test_beats_that_nobody_could_tell_change_nothing():
    table = made()
    strange = table.with_columns(score=pl.when(beat_class="Q").then(99.0).otherwise("score"))
    assert Results(strange, CONFIG).metrics("detector") == Results(table, CONFIG).metrics("detector")


def test_the_verdict_names_the_strongest_rival_and_every_difference_is_there(results):
    judged, comparisons = results.judge()
    assert judged.beats == "yes"
    assert "RR interval rule" in judged.sentence
    assert comparisons.keys() == {"auroc", "auroc_v", "auroc_s"}
    assert comparisons["auroc"]["interval_rule"]["difference"] > 0.3


def test_a_class_without_beats_is_undefined_with_the_reason():
    table = made().filter(pl.col("beat_class").is_in(["N", "V"]))
    metrics = Results(table, CONFIG).metrics("detector")
    for name in ("test/auroc_s", "test/sensitivity_s"):
        assert metrics[name].value is None or np.isnan(metrics[name].value)
        assert metrics[name].reason
    assert metrics["test/auroc_v"].value > 0.9


def test_a_recording_with_few_abnormal_beats_has_no_ranking_but_its_false_alarms():
    table = made().filter((pl.col("record") != "3") | (pl.col("beat_class") == "N"))
    cards = {card["record"]: card for card in Results(table, CONFIG).per_record()}
    assert cards["3"]["auroc"] is None
    assert cards["3"]["sensitivity"] == {"S": None, "V": None, "F": None}
    rows = table.filter(record="3")
    assert cards["3"]["false_alarm_rate"] == pytest.approx(rows["flagged"].mean())
    assert cards["3"]["beats"] == {"N": rows.height, "S": 0, "V": 0, "F": 0}
    assert cards["0"]["auroc"] > 0.8


def test_over_records_leaves_out_what_could_not_be_said():
    assert over_records([0.9, None, 0.5, 0.7]) == {"median": 0.7, "lowest": 0.5, "highest": 0.9, "records": 3}
    assert over_records([None])["median"] is None


def test_end_to_end_counts_marked_beats_that_were_not_found_as_missed():
    found = pl.DataFrame(
        {"beat_class": ["V", "V", "N", "N", "N", None], "flagged": [True, False, True, False, False, True]}
    )
    document = end_to_end(found, {"N": 4, "V": 4, "S": 0})
    assert document["classes"] == {
        "N": {"marked": 4, "found": 0.75, "flagged": 0.25},
        "V": {"marked": 4, "found": 0.5, "flagged": 0.25},
    }
    assert document["not_marked"] == pytest.approx(1 / 6)
    assert document["beats"] == 6


def test_the_document_of_a_real_run_holds_everything_and_no_baseline_is_missing(judged):
    marked = {"N": 1000, "S": 50, "V": 50, "F": 5, "Q": 0}
    document = evaluation_document(judged.table, judged.found, marked, judged.config)
    assert list(document["metrics"]) == ["detector", *BASELINES]
    assert document["counts"]["records"] == len(document["per_record"]) == judged.table["record"].n_unique()
    assert document["verdict"]["sentence"]
    assert document["metrics"]["detector"]["test/auroc"]["value"] > 0.9
