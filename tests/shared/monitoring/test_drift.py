import json
from datetime import date

import numpy as np
import polars as pl
import pytest

from shared.errors import RequestError
from shared.monitoring import drift as drift_module
from shared.monitoring.drift import drift
from shared.monitoring.profile import ReferenceProfile, reference_profile
from shared.monitoring.simulation import cumulative_gap, psi

LEVELS = ["rent", "own", "free", "other"]


def table(n, seed):
    """Return a batch without drift: every column with some missing values, one with ties, one categorical."""
    generator = np.random.default_rng(seed)

    def with_gaps(values, share):
        return np.where(generator.random(n) < share, np.nan, values)

    level = generator.choice([*LEVELS, None], n, p=[0.5, 0.3, 0.1, 0.05, 0.05])
    return pl.DataFrame(
        {
            "amount": with_gaps(generator.lognormal(size=n), 0.05),
            "count": with_gaps(generator.poisson(2, n), 0.1),
            "housing": pl.Series(level.tolist(), dtype=pl.String),
        }
    )


def scores(n, seed):
    return np.random.default_rng(seed + 10_000).beta(2, 5, size=n)


@pytest.fixture(scope="module")
def profile():
    return reference_profile(table(4000, 0), scores(4000, 0))


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_false_alarm_rate_is_the_stated_one_whatever_the_batch_size(n, monkeypatch):
    monkeypatch.setattr(drift_module, "MIN_SIMULATIONS", 400)
    stated, repeats, alarms = 0.2, 80, 0
    for seed in range(repeats):
        reference = reference_profile(table(3000, 7 * seed + 1), scores(3000, 7 * seed + 1))
        batch_seed = 7 * seed + 500_000 + n
        report = drift(reference, table(n, batch_seed), scores(n, batch_seed), false_alarm_rate=stated)
        alarms += report.drifted
    # Four standard errors of 80 repeats is 0.18 around the rate.
    assert 0.06 <= alarms / repeats <= 0.34


def test_one_profile_used_for_many_batches_rarely_cries_wolf(profile):
    alarms = sum(
        drift(profile, table(500, seed), scores(500, seed), false_alarm_rate=0.01).drifted
        for seed in range(1, 31)
    )
    assert alarms <= 3


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (pl.col("amount") * 1.5, "amount"),
        (pl.col("count") + 1, "count"),
        (pl.col("amount") * 0 + 1e9, "amount"),
        (-pl.col("count"), "count"),
        (pl.lit(None, dtype=pl.Float64).alias("amount"), "amount"),
        (pl.when(pl.int_range(pl.len()) % 4 > 0).then("amount"), "amount"),
        (pl.col("housing").replace("rent", "own"), "housing"),
    ],
)
def test_planted_drift_is_caught_in_its_column_alone(profile, change, column):
    report = drift(profile, table(1000, 5).with_columns(change), scores(1000, 5))
    assert report.drifted_columns == (column,)
    assert column in report.sentence


def test_a_larger_batch_sees_a_smaller_shift(profile):
    found = {
        n: drift(profile, table(n, 3).with_columns(pl.col("amount") * 1.12), scores(n, 3)).columns[0]
        for n in (200, 20_000)
    }
    assert not found[200].drifted
    assert found[20_000].drifted
    assert found[20_000].psi_limit < found[200].psi_limit / 5


def test_shifted_scores_are_caught_by_the_distribution_not_only_the_mean(profile):
    moved = drift(profile, table(1000, 4), np.minimum(scores(1000, 4) + 0.04, 1)).scores
    assert moved.drifted
    assert moved.mean > moved.reference_mean
    narrow = 0.5 * scores(1000, 4) + 0.5 * profile.scores.mean
    assert drift(profile, table(1000, 4), narrow).scores.ks > moved.ks_limit


def test_new_levels_are_named_and_do_not_alarm_by_themselves(profile):
    batch = table(1000, 6)
    one = batch.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("tent")).otherwise("housing").alias("housing")
    )
    report = drift(profile, one, scores(1000, 6))
    assert report.columns[2].new_levels == {"tent": 1}
    assert not report.drifted
    assert "'tent' in housing" in report.sentence
    many = batch.with_columns(pl.col("housing").replace("other", "tent"))
    assert drift(profile, many, scores(1000, 6)).drifted_columns == ("housing",)


def test_profile_survives_json_in_any_key_order(profile):
    text = json.dumps(profile.to_json(), allow_nan=False, sort_keys=True)
    again = ReferenceProfile.from_json(json.loads(text))
    batch, batch_scores = table(300, 8), scores(300, 8)
    assert drift(again, batch, batch_scores) == drift(profile, batch, batch_scores)


def test_report_is_strict_json_even_without_values(profile):
    batch = pl.DataFrame({"amount": [None], "count": [np.nan], "housing": [None]})
    fields = json.loads(json.dumps(drift(profile, batch, [0.5]).to_json(), allow_nan=False))
    assert fields["columns"][0]["psi"] is None
    assert fields["num_rows"] == 1
    assert drift(profile, batch).scores is None


@pytest.mark.parametrize("n", [1, 2, 10])
def test_tiny_batches_work_and_prove_little(profile, n):
    assert not drift(profile, table(n, 2), scores(n, 2)).drifted


def test_constant_infinite_and_boolean_columns_are_monitored():
    frame = pl.DataFrame(
        {
            "constant": [3.0] * 500,
            "endless": [np.inf, 1.0] * 250,
            "flag": [True, False] * 250,
            "empty": [None] * 500,
        }
    ).with_columns(pl.col("empty").cast(pl.Float64))
    reference = reference_profile(frame)
    assert not drift(reference, frame.head(200)).drifted
    changed = frame.head(200).with_columns(constant=4.0, flag=True, empty=1.0, endless=-np.inf)
    assert set(drift(reference, changed).drifted_columns) == set(frame.columns)


def test_identifiers_and_dates_are_skipped_not_stored():
    frame = pl.DataFrame(
        {"name": [f"person {i}" for i in range(200)], "day": [date(2026, 1, 1)] * 200, "x": range(200)}
    )
    reference = reference_profile(frame)
    assert set(reference.skipped) == {"name", "day"}
    assert "person" not in json.dumps(reference.to_json())


def test_wrong_batches_are_requests_to_fix(profile):
    batch = table(50, 1)
    cases = [
        (batch.head(0), [], "table"),
        (batch.drop("amount"), scores(50, 1), "amount"),
        (batch.with_columns(amount=pl.lit("many")), scores(50, 1), "amount as numeric"),
        (batch.with_columns(housing=pl.lit(3)), scores(50, 1), "housing as category"),
        (batch, scores(49, 1), "50 finite scores"),
        (batch, np.full(50, np.nan), "50 finite scores"),
    ]
    for frame, batch_scores, message in cases:
        with pytest.raises(RequestError, match=message):
            drift(profile, frame, batch_scores)
    with pytest.raises(RequestError, match="false-alarm rate"):
        drift(profile, batch, false_alarm_rate=0)
    with pytest.raises(RequestError, match="empty"):
        reference_profile(batch.head(0))


def test_damaged_profiles_are_refused(profile):
    for damage in ({"num_rows": 0}, {"columns": {"a": {"kind": "numeric"}}}, {"surprise": 1}):
        with pytest.raises(RequestError, match="reference profile"):
            ReferenceProfile.from_json(profile.to_json() | damage)
    fields = profile.to_json()
    fields["columns"]["amount"]["edges"][0] = 1e9
    with pytest.raises(RequestError, match="ascending"):
        ReferenceProfile.from_json(fields)


def test_statistics_of_known_counts():
    reference = np.array([1000, 1000])
    assert psi(reference, np.array([50, 50])) == pytest.approx(0)
    shares = np.array([[750, 250], [0, 0]])
    expected = 0.25 * np.log(0.75 / 0.5) - 0.25 * np.log(0.25 / 0.5)
    values = psi(reference, shares)
    assert values[0] == pytest.approx(expected, rel=0.01)
    assert np.isnan(values[1])
    assert cumulative_gap(reference, np.array([750, 250])) == pytest.approx(0.25)
