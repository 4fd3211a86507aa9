"""Nothing is learnt from what was not known yet, blocked cards are not tested, and planted leaks are found."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fraud_detection.audit import audit_folds
from pipelines.fraud_detection.config import FeatureConfig, ProtocolConfig
from pipelines.fraud_detection.features import compute_features
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.protocol import (
    MIN_GENUINE,
    Fold,
    Parts,
    days_needed,
    divide,
    folds,
    require_enough,
    unlabelled_periods,
    without_compromised,
)
from shared.errors import FieldworkError, RequestError

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DELAY = 7
CONFIG = FeatureConfig()


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return generate(300, 600, 70, seed=0).frame


@pytest.fixture(scope="module")
def features(frame) -> pl.DataFrame:
    return compute_features(frame, CONFIG)


@pytest.fixture(scope="module")
def parts(frame) -> list[Parts]:
    return [divide(frame, fold, DELAY) for fold in folds(frame["time"], ProtocolConfig(num_folds=2), DELAY)]


def days_of(first: int, last: int) -> pl.Series:
    return pl.Series([START + day * DAY + timedelta(hours=5) for day in range(first, last + 1)])


@given(
    train=st.integers(1, 20),
    test=st.integers(1, 20),
    delay=st.integers(0, 10),
    number=st.integers(1, 5),
    spare=st.integers(0, 9),
)
def test_folds_follow_each_other_and_every_label_is_known_in_time(train, test, delay, number, spare):
    config = ProtocolConfig(train_days=train, test_days=test, num_folds=number)
    needed = days_needed(config, delay)
    found = folds(days_of(0, needed + spare - 1), config, delay)
    assert len(found) == number
    assert found[0].validation.train_start == START + spare * DAY
    assert found[-1].test_end == START + (needed + spare) * DAY
    for fold in found:
        for one in (fold, fold.validation):
            assert one.train_end - one.train_start == train * DAY
            assert one.test_start - one.train_end == delay * DAY
            assert one.test_end - one.test_start == test * DAY
        assert fold.validation.test_end == fold.train_end
        assert fold.validation.test_end + delay * DAY <= fold.test_start
    for one, after in pairwise(found):
        assert after.test_start == one.test_end
    with pytest.raises(RequestError, match=f"at least {needed} days.*Received {needed - 1}"):
        folds(days_of(0, needed - 2), config, delay)


def test_the_first_day_of_training_can_be_chosen_and_must_fit():
    config = ProtocolConfig(first_train_day=date(2024, 1, 20))
    found = folds(days_of(0, 69), config, DELAY)
    assert found[0].train_start == datetime(2024, 1, 20, tzinfo=UTC)
    assert found[3].test_start == datetime(2024, 2, 24, tzinfo=UTC)
    for day in (date(2024, 1, 14), date(2024, 1, 30)):
        with pytest.raises(RequestError, match=r"Expected at least 56 days.*must reach from"):
            folds(days_of(0, 69), ProtocolConfig(first_train_day=day), DELAY)


def blocked_by_day(frame: pl.DataFrame, fold, delay: int) -> set[str]:
    """Ids of the test, day by day, without cards of training frauds and of those dated `delay` + 1 days before."""
    day = pl.col("time").dt.truncate("1d")
    is_training = (pl.col("time") >= fold.train_start) & (pl.col("time") < fold.train_end)
    known = set(frame.filter(is_training & (pl.col("is_fraud") == 1))["customer_id"])
    kept = set()
    current = fold.test_start
    while current < fold.test_end:
        known |= set(
            frame.filter((day == current - (delay + 1) * DAY) & (pl.col("is_fraud") == 1))["customer_id"]
        )
        rows = frame.filter(day == current)
        kept |= set(rows.filter(~pl.col("customer_id").is_in(list(known)))["transaction_id"])
        current += DAY
    return kept


@pytest.mark.parametrize("delay", [1, 7])
def test_cards_are_blocked_as_the_reference_blocks_them(frame, delay):
    for fold in folds(frame["time"], ProtocolConfig(num_folds=2), delay):
        for one in (fold, fold.validation):
            expected = blocked_by_day(frame, one, delay)
            assert set(without_compromised(frame, one, delay)["transaction_id"]) == expected
            assert (
                len(expected) < frame.filter(pl.col("time").is_between(one.test_start, one.test_end)).height
            )


def test_a_stated_label_time_decides_when_a_card_is_blocked_and_what_training_knows():
    fold = folds(days_of(0, 69), ProtocolConfig(num_folds=1), DELAY)[0]
    in_training, in_test = (
        fold.train_start + 12 * timedelta(hours=1),
        fold.test_start + 12 * timedelta(hours=1),
    )
    table = pl.DataFrame(
        {
            "transaction_id": list("abcdef"),
            "time": [in_training] * 2 + [in_test, in_test + DAY] * 2,
            "customer_id": ["early", "late", "early", "early", "late", "late"],
            "terminal_id": ["m"] * 6,
            "amount": [1.0] * 6,
            "is_fraud": [1, 1, 0, 0, 0, 0],
            "label_time": [fold.train_end, in_test + 2 * timedelta(hours=1), None, None, None, None],
        }
    )
    parts = divide(table, fold, DELAY)
    assert parts.train["is_fraud"].to_list() == [1, 0]
    assert parts.test["transaction_id"].to_list() == ["e"]


def test_columns_and_rows_of_a_fold_are_those_of_the_table(frame, parts):
    for one in parts:
        assert one.train.columns == one.test.columns == frame.columns
        assert one.test["transaction_id"].is_in(frame["transaction_id"].implode()).all()
        assert one.validation.test["is_fraud"].sum() > 0


def test_a_table_without_labels_is_divided_too(frame):
    fold = folds(frame["time"], ProtocolConfig(num_folds=1), DELAY)[0]
    parts = divide(frame.drop("is_fraud"), fold, DELAY)
    days = frame.filter((pl.col("time") >= fold.test_start) & (pl.col("time") < fold.test_end))
    assert parts.test.height == days.height
    assert parts.train["is_fraud"].null_count() == parts.train.height
    assert unlabelled_periods(frame.drop("is_fraud")) == []


def sized(train: int, test: int, frauds: int = 0, validation: Parts | None = None) -> Parts:
    """A fold of so many transactions, `frauds` of them known as fraud in each part."""
    fold = Fold(START, START + 7 * DAY, START + 14 * DAY, START + 21 * DAY)
    frames = [pl.DataFrame({"is_fraud": [1] * frauds + [0, None] * (size // 2)}) for size in (train, test)]
    return Parts(fold, *frames, validation)


def test_parts_with_just_enough_genuine_transactions_are_accepted():
    require_enough([sized(MIN_GENUINE, MIN_GENUINE, validation=sized(MIN_GENUINE, MIN_GENUINE))])


@pytest.mark.parametrize(
    ("where", "place"),
    [("training of the validation", 0), ("validation", 1), ("training", 2), ("test", 3)],
    ids=["training-of-validation", "validation", "training", "test"],
)
@pytest.mark.parametrize("size", [0, MIN_GENUINE - 2], ids=["gap", "too-few"])
def test_a_part_with_too_few_genuine_transactions_is_named_with_its_days_whatever_its_frauds(
    where, place, size
):
    sizes = [MIN_GENUINE] * 4
    sizes[place] = size
    large = sized(500, 500, validation=sized(500, 500))
    small = sized(*sizes[2:], frauds=300, validation=sized(*sizes[:2], frauds=300))
    days = "2024-01-01 to 2024-01-07" if "training" in where else "2024-01-15 to 2024-01-21"
    with pytest.raises(RequestError, match=f"at least 100 .*Received {size} in the {where} from {days}"):
        require_enough([large, small])


def test_a_clean_division_passes_the_audit(frame, features, parts):
    report = audit_folds(parts, frame, features, CONFIG).require()
    assert report.findings == ()
    assert report.checks == ("repeated_transactions", "time_order", "later_labels", "later_knowledge")


@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_test_transaction_that_was_learnt_from_is_found(frame, features, parts, where):
    first = parts[0]
    if where == "training":
        leaky = Parts(first.fold, pl.concat([first.train, first.test[:3]]), first.test, first.validation)
    else:
        held = first.validation
        held = Parts(held.fold, held.train, pl.concat([held.test, first.test[:3]]), None)
        leaky = Parts(first.fold, first.train, first.test, held)
    report = audit_folds([leaky], frame, features, CONFIG)
    assert {finding.check for finding in report.findings} >= {"repeated_transactions", "time_order"}
    assert report.findings[0].count == 3
    with pytest.raises(FieldworkError, match=f"3 transactions of the test are in the {where}"):
        report.require()


def test_training_after_the_test_is_found(frame, features, parts):
    first, last = parts
    swapped = Parts(first.fold, last.test, first.train, None)
    checks = {finding.check for finding in audit_folds([swapped], frame, features, CONFIG).findings}
    assert "time_order" in checks


def test_labels_that_were_not_known_yet_are_found(frame, features, parts):
    first = parts[0]
    late = frame.with_columns(label_time=pl.col("time") + 30 * DAY)
    fold = first.fold
    train = late.filter((pl.col("time") >= fold.train_start) & (pl.col("time") < fold.train_end))
    leaky = Parts(fold, train, first.test, None)
    assert "later_labels" in {
        finding.check for finding in audit_folds([leaky], late, features, CONFIG).findings
    }
    honest = audit_folds([divide(late, fold, DELAY)], late, compute_features(late, CONFIG), CONFIG)
    assert honest.findings == ()


def test_features_that_know_labels_or_transactions_too_early_are_found_by_name(frame, features, parts):
    impatient = compute_features(frame, FeatureConfig(label_delay_days=0))
    found = audit_folds(parts, frame, impatient, CONFIG).findings
    assert {finding.check for finding in found} == {"later_knowledge"}
    assert "terminal_risk_7d" in found[0].message
    total = pl.col("amount").mean().over("customer_id")
    foresight = features.with_columns(
        customer_mean_amount_30d=frame.select(total).to_series(),
    )
    found = audit_folds(parts, frame, foresight, CONFIG).findings
    assert [finding.check for finding in found] == ["later_knowledge"] * 2
    assert found[0].message.endswith("later knowledge: customer_mean_amount_30d.")


def without_frauds(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    inside = pl.col("time").is_between(START + first * DAY, START + (last + 1) * DAY, closed="left")
    return frame.with_columns(pl.when(inside).then(0).otherwise("is_fraud").alias("is_fraud"))


@pytest.mark.parametrize(("first", "last"), [(0, 19), (30, 50), (50, 69)], ids=["start", "middle", "end"])
def test_a_period_without_labels_is_found(frame, first, last):
    (period,) = unlabelled_periods(without_frauds(frame, first, last))
    assert abs((period.first_day - START).days - first) <= 1
    assert abs((period.last_day - START).days - last) <= 1
    assert period.chance < 1e-6
    assert period.num_transactions > 5000


def test_two_periods_are_found_and_a_quiet_one_or_one_that_is_declared_is_none(frame):
    assert len(unlabelled_periods(without_frauds(without_frauds(frame, 20, 35), 45, 60))) == 2
    assert unlabelled_periods(frame) == []
    assert unlabelled_periods(without_frauds(frame, 30, 31)) == []
    silent = without_frauds(frame, 30, 50).with_columns(
        pl.when(pl.col("time").is_between(START + 29 * DAY, START + 52 * DAY)).then(None).otherwise("is_fraud")
        .alias("is_fraud")
    )  # fmt: skip
    assert unlabelled_periods(silent) == []


@settings(max_examples=30, deadline=None)
@given(frauds=st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_found_periods_hold_no_fraud_and_without_any_fraud_none_is_found(frauds):
    rows = [
        (START + day * DAY, int(number < count)) for day, count in enumerate(frauds) for number in range(5)
    ]
    table = pl.DataFrame(rows, schema=["time", "is_fraud"], orient="row")
    for period in unlabelled_periods(table):
        inside = table.filter(pl.col("time").is_between(period.first_day, period.last_day))
        assert (inside.height, inside["is_fraud"].sum()) == (period.num_transactions, 0)
    assert unlabelled_periods(table.with_columns(is_fraud=0)) == []
