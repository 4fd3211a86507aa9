"""Encodings know the training part alone, keep states apart from amounts, and never turn an order round."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.config import ModelConfig, tiny
from pipelines.credit_scoring.features import MISSING, OTHER, Features
from pipelines.credit_scoring.generator import SCHEMA, generate
from pipelines.credit_scoring.schema import CategoricalColumn, LenderSchema, NumericColumn
from pipelines.credit_scoring.train import train_network

CONFIG = ModelConfig(num_bins=8, min_rows_per_bin=5, min_rows_per_level=3)
ONE = LenderSchema(
    name="one",
    numeric=(NumericColumn(name="x", special_codes={-9: "none", -8: "refused"}),),
    categorical=(CategoricalColumn(name="k"),),
)
AMOUNTS = st.floats(-(2.0**40), 2.0**40, allow_nan=False, width=32)


def table(x, k=None):
    return pl.DataFrame(
        {"x": pl.Series(x, dtype=pl.Float64), "k": pl.Series(k or ["a"] * len(x), dtype=pl.String)}
    )


def fit(x, k=None):
    return Features.fit(table(x, k), ONE, CONFIG)


def test_encodings_do_not_know_rows_that_they_were_not_fitted_on():
    frame = generate(900, 1)
    training, later = (
        frame[:600],
        frame[600:].with_columns(monthly_income=pl.lit(9e9), purpose=pl.lit("yacht")),
    )
    features = Features.fit(training, SCHEMA, CONFIG)
    before = features.transform(training)
    features.transform(later)
    assert Features.fit(pl.concat([training, later])[:600], SCHEMA, CONFIG) == features
    assert torch.equal(before, features.transform(training))
    assert features.transform(later).abs().max() <= 1


def test_the_row_alone_decides_its_encoding():
    frame = generate(300, 2)
    features = Features.fit(frame, SCHEMA, CONFIG)
    together = features.transform(frame)
    order = np.random.default_rng(0).permutation(300)
    assert torch.equal(features.transform(frame[order.tolist()]), together[order])
    assert torch.equal(features.transform(frame[17:18])[0], together[17])
    assert features.transform(frame[:0]).shape == (0, features.num_inputs)


def test_special_codes_and_missing_have_inputs_of_their_own_and_no_amount():
    features = fit([-9.0, -8.0, None, *range(100)])
    encoding, place = features.numeric[0], features.column_slots["x"]
    rows = features.transform(table([-9.0, -8.0, None, 50.0]))[:, place.start : place.stop]
    amounts, states = rows[:, : encoding.num_bins], rows[:, encoding.num_bins :]
    assert torch.equal(states, torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]))
    assert (amounts[:3] == 0).all()
    assert (amounts[3] != 0).any()
    assert min(encoding.edges) >= 0, "a code moved the bins"


def test_a_level_unseen_or_rare_in_training_is_other_and_an_empty_one_is_missing():
    features = fit(range(60), ["a"] * 30 + ["b"] * 28 + ["rare"] * 2)
    category, place = features.categorical[0], features.column_slots["k"]
    assert category.levels == ("a", "b")
    codes = category.encode(pl.Series(["a", "b", "rare", "never seen", None]))
    assert codes.tolist() == [2, 3, OTHER, OTHER, MISSING]
    rows = features.transform(table([1.0] * 5, ["a", "b", "rare", "never seen", None]))
    assert (rows[:, place.start : place.stop].sum(1) == 1).all()


@pytest.mark.parametrize("x", [[3.0] * 80, [None] * 80, [-9.0] * 80, [None, -9.0] * 40, [2.0, None] * 40])
def test_a_column_without_variation_still_encodes_its_states(x):
    features = fit(x)
    rows = features.transform(table([3.0, 99.0, None, -9.0]))
    assert features.numeric[0].num_bins == 0
    assert torch.isfinite(rows).all()
    assert torch.equal(rows[0], rows[1])
    assert len({tuple(row.tolist()) for row in rows[1:]}) == 3


@settings(max_examples=150, deadline=None)
@given(st.lists(AMOUNTS, min_size=2, max_size=80), st.lists(AMOUNTS, min_size=2, max_size=10))
def test_a_larger_amount_never_lowers_an_input(training, asked):
    features = fit(training)
    asked = sorted(value for value in asked if value not in (-9.0, -8.0))
    rows = features.transform(table(asked)).numpy()
    assert np.isfinite(rows).all()
    assert np.abs(rows).max(initial=0) <= 1
    assert (np.diff(rows, axis=0) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(AMOUNTS, min_size=12, max_size=80, unique=True))
def test_amounts_at_different_edges_stay_distinguishable(training):
    features = fit(training)
    edges = [edge for edge in features.numeric[0].edges if edge not in (-9.0, -8.0)]
    rows = features.transform(table(edges)).numpy()
    assert len(np.unique(rows, axis=0)) == len(edges)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(AMOUNTS, st.none()), min_size=3, max_size=60), st.data())
def test_encodings_survive_json_exactly(x, data):
    k = data.draw(st.lists(st.one_of(st.text(max_size=4), st.none()), min_size=len(x), max_size=len(x)))
    features = fit(x, k)
    again = Features.model_validate_json(features.model_dump_json())
    assert again == features
    assert torch.equal(again.transform(table(x, k)), features.transform(table(x, k)))


def test_encodings_survive_the_disk(tmp_path):
    frame = generate(300, 1)
    features = Features.fit(frame, SCHEMA, CONFIG)
    features.save(tmp_path / "features")
    assert Features.load(tmp_path / "features") == features


def test_slots_cover_each_input_once():
    features = Features.fit(generate(300, 1), SCHEMA, CONFIG)
    places = [place for slot in features.column_slots.values() for place in slot]
    assert places == list(range(features.num_inputs))
    assert set(features.column_slots) == set(SCHEMA.feature_names)


@pytest.mark.parametrize("name", ["count", "level", "rows", "literal", ""])
def test_a_column_may_have_any_name(name):
    name = name or "x y.z"
    schema = LenderSchema(name="odd", categorical=(CategoricalColumn(name=name),))
    features = Features.fit(pl.DataFrame({name: ["a", "b"] * 20}), schema, CONFIG)
    assert features.categorical[0].levels == ("a", "b")


def test_most_frequent_levels_are_kept_where_there_are_too_many():
    k = [f"k{number:03d}" for number in range(50) for _ in range(number + 3)]
    config = CONFIG.model_copy(update={"max_levels": 5})
    features = Features.fit(table(np.arange(len(k)), k), ONE, config)
    assert features.categorical[0].levels == ("k045", "k046", "k047", "k048", "k049")


def test_training_fits_encodings_on_the_training_part_and_not_on_validation():
    frame = generate(500, 4)
    odd = frame[300:].with_columns(monthly_income=pl.lit(9e9), purpose=pl.lit("yacht"))
    features, _ = train_network(frame[:300], odd, SCHEMA, tiny(), seed=0)
    assert features == Features.fit(frame[:300], SCHEMA, tiny().model)
