"""Two models are compared on the beats of patients whom neither had seen, and the bundle names nobody."""

import io

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.config import tiny
from pipelines.ecg_anomaly.held_out import compare, scores_to_keep

CONFIG = tiny()


def predictions(noise: float, num_records: int = 6) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    record = np.repeat(np.arange(num_records), 200)
    is_abnormal = rng.random(len(record)) < 0.2
    return pl.DataFrame(
        {
            "record": [f"holter-{one}" for one in record],
            "patient": [f"p{one}" for one in record],
            "beat_class": np.where(is_abnormal, "V", "N"),
            "score": 2.0 * is_abnormal + noise * rng.normal(0, 1, len(record)),
        }
    )


def kept(table: pl.DataFrame) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(scores_to_keep(table)))


def test_a_model_differs_from_itself_by_nothing():
    comparison = compare(predictions(1.0), kept(predictions(1.0)), CONFIG)
    assert comparison is not None
    assert abs(comparison["difference"]) < 1e-4
    assert comparison["metric"] == "AUROC"


def test_a_better_challenger_has_a_positive_difference():
    comparison = compare(predictions(0.5), kept(predictions(3.0)), CONFIG)
    assert comparison is not None
    assert comparison["low"] > 0


def test_beats_are_paired_by_recording_and_number_whatever_the_order_of_folds():
    table = predictions(1.0)
    turned = pl.concat([table.filter(record=f"holter-{one}") for one in (4, 5, 0, 3, 1, 2)])
    comparison = compare(table, kept(turned), CONFIG)
    assert comparison is not None
    assert abs(comparison["difference"]) < 1e-4


def test_a_champion_that_was_tested_on_other_beats_is_not_compared():
    other = predictions(1.0).with_columns(record="other-" + pl.col("record"))
    assert compare(predictions(1.0), kept(other), CONFIG) is None
    fewer = predictions(1.0).filter(pl.int_range(pl.len()).over("record") > 0)
    assert compare(predictions(1.0), kept(fewer), CONFIG) is None


def test_a_table_that_grew_is_compared_on_what_both_have():
    comparison = compare(predictions(1.0, 6), kept(predictions(1.0, 5)), CONFIG)
    assert comparison is not None
    assert compare(predictions(1.0, 6), kept(predictions(1.0, 2)), CONFIG) is None


def test_what_is_kept_names_no_recording_and_no_class():
    table = kept(predictions(1.0))
    assert table.columns == ["recording", "number", "score"]
    assert not table["recording"].str.contains("holter").any()
