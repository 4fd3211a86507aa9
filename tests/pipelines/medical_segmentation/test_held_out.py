"""A later model is compared on the same test cases, case by case, and on others not at all."""

import io

import polars as pl
import pytest

from pipelines.medical_segmentation.held_out import compare, results_to_keep


def kept(judged, results: pl.DataFrame) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(results_to_keep(results, judged.config)))


def test_a_model_differs_from_itself_by_nothing(judged, graded):
    for one in (judged, graded):
        found = compare(one.tables["results"], kept(one, one.tables["results"]), one.config)
        assert found["difference"] == 0
        assert found["metric"] == ("quadratic_kappa" if one is graded else "dice")


def test_the_difference_is_that_of_the_means_over_cases(judged):
    results = judged.tables["results"]
    worse = results.with_columns(pl.col("dice") * 0.5)
    found = compare(results, kept(judged, worse), judged.config)
    by_case = results.filter(pl.col("dice").is_not_nan()).group_by("case").agg(pl.col("dice").mean())
    assert found["difference"] == pytest.approx(0.5 * by_case["dice"].mean())
    assert found["low"] > 0


def test_models_that_were_tested_on_other_cases_are_not_compared(judged):
    results = judged.tables["results"]
    others = results.with_columns(case="other-" + pl.col("case"))
    assert compare(results, kept(judged, others), judged.config) is None


def test_what_is_kept_names_no_case_and_no_patient(judged):
    table = kept(judged, judged.tables["results"])
    assert table.columns == ["digest", "value"]
    assert not table["digest"].is_in(judged.tables["results"]["case"].implode()).any()
