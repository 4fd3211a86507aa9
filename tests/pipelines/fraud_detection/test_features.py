"""Features are what was known at the moment: checked one by one against loops that follow the definition in words."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.windows import PrefixSums
from shared.errors import RequestError

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CONFIG = FeatureConfig()
CATEGORIES = ("shop", "entry")
# Hours, so that equal times and edges of windows come up; customer, terminal, cents, label, hours until it is known,
# two categories.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 45 * 24) | st.integers(0, 8).map(lambda week: week * 7 * 24),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 10**9) | st.integers(0, 99),
        st.sampled_from([0, 1, 1, None]),
        st.none() | st.integers(-24, 60 * 24),
        st.sampled_from(["grocer", "cinema", "", None]),
        st.sampled_from(["chip", "online"]),
    ),
    min_size=1,
    max_size=40,
)


def table(rows) -> pl.DataFrame:
    """Transactions as the contract has them."""
    hours, customers, terminals, cents, labels, waits, shops, entries = zip(*rows, strict=True)
    times = [START + timedelta(hours=hour) for hour in hours]
    known = [
        None if wait is None else time + timedelta(hours=wait)
        for time, wait in zip(times, waits, strict=True)
    ]
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(rows))],
            "time": times,
            "customer_id": [f"c{number}" for number in customers],
            "terminal_id": [f"m{number}" for number in terminals],
            "amount": [number / 100 for number in cents],
            "is_fraud": pl.Series(labels, dtype=pl.Int64),
            "label_time": pl.Series(known, dtype=pl.Datetime("us", "UTC")),
            "shop": pl.Series(shops, dtype=pl.String),
            "entry": pl.Series(entries, dtype=pl.String),
        }
    )


def plain(
    hour: int, customer: int = 0, *, label: int | None = 0, wait: int | None = 0, shop: str | None = "grocer"
) -> tuple:
    """A row of `table` at terminal 0."""
    return hour, customer, 0, 100, label, wait, shop, "chip"


def of_one(
    frame: pl.DataFrame, row: int, config: FeatureConfig, categories: tuple[str, ...] = ()
) -> dict[str, float]:
    """The features of one row, by the definition in words, from the rows that came in no later."""
    rows = frame.with_row_index("row").to_dicts()
    now = rows[row]
    came_in = [one for one in rows if (one["time"], one["row"]) <= (now["time"], now["row"])]
    own = [one for one in came_in if one["customer_id"] == now["customer_id"]]
    delay, longest = config.label_delay_days * DAY, config.windows_days[-1] * DAY
    gaps = [now["time"] - one["time"] for one in own if one["row"] != now["row"]]
    found = {
        "amount": now["amount"],
        "during_weekend": float(now["time"].isoweekday() >= 6),
        "during_night": float(now["time"].hour <= 6),
        "hours_since_last": min([*gaps, longest]) / timedelta(hours=1),
    }

    def counted(name: str, days: int) -> tuple[int, float]:
        """Transactions with the same value as this one behind the delay, and the share of frauds become known."""
        end, begin = now["time"] - delay, now["time"] - delay - days * DAY
        count = sum(begin < one["time"] <= end for one in came_in if one[name] == now[name])
        frauds = 0
        for one in rows:
            if one[name] != now[name]:
                continue
            stated = one["time"] + delay if one["label_time"] is None else one["label_time"]
            known = max(stated, one["time"] + timedelta(microseconds=1))
            frauds += one["is_fraud"] == 1 and now["time"] - days * DAY < known <= now["time"]
        return count, frauds / max(count, frauds, 1)

    for days in config.windows_days:
        amounts = [one["amount"] for one in own if one["time"] > now["time"] - days * DAY]
        found[f"customer_count_{days}d"] = len(amounts)
        found[f"customer_mean_amount_{days}d"] = mean = sum(amounts) / len(amounts)
        found[f"terminal_count_{days}d"], found[f"terminal_risk_{days}d"] = counted("terminal_id", days)
    found["amount_to_customer_mean"] = now["amount"] / mean if mean else 1.0
    recent = [one for one in own if one["time"] > now["time"] - longest]
    for name in categories:
        found[f"customer_share_of_{name}"] = sum(one[name] == now[name] for one in recent) / len(recent)
        found[f"{name}_risk_{days}d"] = counted(name, days)[1]
    return found


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, windows=st.sampled_from([(1, 7, 30), (2,), (1, 3)]), delay=st.sampled_from([0, 1, 7]))
def test_every_feature_is_what_the_definition_says(rows, windows, delay):
    frame, config = table(rows), FeatureConfig(windows_days=windows, label_delay_days=delay)
    computed = compute_features(frame, config, labelled=True, categories=CATEGORIES)
    assert tuple(computed.columns[1:]) == feature_names(config, True, CATEGORIES)
    for row, features in enumerate(computed.drop("transaction_id").to_dicts()):
        assert features == pytest.approx(of_one(frame, row, config, CATEGORIES), rel=1e-9, abs=1e-9)


def test_features_of_simulated_payments_are_those_of_a_slow_implementation():
    frame = generate(60, 20, 70, seed=1).frame
    computed = compute_features(frame, CONFIG).drop("transaction_id")
    unstated = frame.with_columns(label_time=None)
    for row in np.random.default_rng(0).choice(frame.height, 40, replace=False).tolist():
        assert computed.row(row, named=True) == pytest.approx(of_one(unstated, row, CONFIG), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 45 * 24))
def test_what_comes_later_changes_no_feature(rows, cut):
    frame, moment = table(rows), START + timedelta(hours=cut)
    earlier = frame.filter(pl.col("time") <= moment)
    if earlier.is_empty():
        return
    late = pl.coalesce("label_time", pl.col("time") + 7 * DAY) > moment
    seen = earlier.with_columns(pl.when(~late).then("is_fraud").alias("is_fraud"))
    full = compute_features(frame, CONFIG, True, CATEGORIES).filter(frame["time"] <= moment)
    assert_frame_equal(compute_features(seen, CONFIG, True, CATEGORIES), full, rel_tol=1e-9)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, data=st.data())
def test_the_order_of_rows_with_different_times_plays_no_part(rows, data):
    frame = table(rows).unique("time", keep="first", maintain_order=True)
    order = data.draw(st.permutations(range(frame.height)))
    shuffled = compute_features(frame[order], CONFIG, True, CATEGORIES)
    assert shuffled.equals(compute_features(frame, CONFIG, True, CATEGORIES)[order])


def test_no_label_tells_about_its_own_transaction_even_without_any_delay():
    frame = table([plain(5, label=1), plain(5, 1, label=1), plain(6, 1)])
    computed = compute_features(frame, FeatureConfig(label_delay_days=0))
    assert computed["terminal_risk_1d"].to_list() == [0.0, 0.0, pytest.approx(2 / 3)]


def test_a_value_that_is_new_to_the_customer_has_a_small_share_and_an_unknown_one_is_a_value():
    shops = ["grocer", "grocer", "grocer", "cinema", None, None]
    frame = table([plain(hour, shop=shop) for hour, shop in enumerate(shops)] + [plain(6, 1, shop="cinema")])
    shares = compute_features(frame, CONFIG, categories=["shop"])["customer_share_of_shop"]
    assert shares.to_list() == pytest.approx([1, 1, 1, 1 / 4, 1 / 5, 2 / 6, 1])


def test_a_fraud_counts_against_its_value_from_the_moment_it_is_known_and_as_long_as_the_longest_window():
    days = (0, 1, 6, 7, 8, 36, 37)
    rows = [plain(24 * day, customer=day, label=int(day == 0), wait=None) for day in days]
    risk = compute_features(table(rows), CONFIG, categories=["shop"])["shop_risk_30d"]
    assert risk.to_list() == pytest.approx([0, 0, 0, 1 / 1, 1 / 2, 1 / 5, 0])


def test_a_category_that_is_missing_is_named():
    with pytest.raises(RequestError, match=r"categories shop, country.*without country"):
        compute_features(table([plain(5)]), CONFIG, categories=["shop", "country"])


@pytest.mark.parametrize("category", ["terminal", "customer_count_7d", "customer_share_of_shop"])
def test_a_category_whose_features_would_be_called_like_others_is_refused(category):
    with pytest.raises(RequestError, match=rf"Received {category}: rename"):
        feature_names(CONFIG, True, ["shop", category])


def test_without_labels_there_is_no_risk_of_terminals_and_categories():
    frame = table([plain(5, label=None), plain(6, label=None)])
    assert tuple(compute_features(frame, CONFIG).columns[1:]) == feature_names(CONFIG, labelled=False)
    assert not [name for name in feature_names(CONFIG, False, CATEGORIES) if "risk" in name]
    bare = frame.drop("is_fraud", "label_time")
    assert compute_features(bare, CONFIG).equals(compute_features(frame, CONFIG))


def test_night_and_weekend_go_by_the_time_zone():
    frame = table([plain(5)]).with_columns(
        time=pl.lit(
            datetime(2024, 3, 1, 23, 30, tzinfo=UTC)
        )  # a Friday; half past midnight on Saturday in Brussels
    )
    brussels = FeatureConfig(time_zone="Europe/Brussels", night_hours=(0, 0))
    found = compute_features(frame, brussels)
    assert (found["during_night"][0], found["during_weekend"][0]) == (1.0, 1.0)
    found = compute_features(frame, FeatureConfig(night_hours=(23, 5)))
    assert (found["during_night"][0], found["during_weekend"][0]) == (1.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(0, 1e12), min_size=1, max_size=60), data=st.data())
def test_a_short_sum_behind_large_values_is_exact(values, data):
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    found = PrefixSums(np.array(values)).between(np.array([start]), np.array([end]))[0]
    assert found == pytest.approx(sum(values[start:end]), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "setting",
    [
        {"windows_days": (7, 1)},
        {"windows_days": (0, 1)},
        {"night_hours": (0, 24)},
        {"time_zone": "Mars/Base"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ValidationError, match=r"Expected|greater than"):
        FeatureConfig(**setting)
