"""One transaction at a time gives the numbers of the batch, through restarts, and the state stays small."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.features import compute_features
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.streaming import FeatureState, Transaction
from shared.errors import FieldworkError, RequestError

START = datetime(2024, 3, 1, tzinfo=UTC)
CONFIG = FeatureConfig()
CATEGORIES = ("shop", "entry")
ROWS = st.lists(
    st.tuples(
        st.integers(0, 45 * 24) | st.integers(0, 30).map(lambda week: week * 7 * 24),
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
    """Transactions as the contract has them, in the order of time."""
    rows = sorted(rows, key=lambda row: row[0])
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


def transaction(row: dict) -> Transaction:
    return Transaction(row["time"], row["customer_id"], row["terminal_id"], row["amount"], categories_of(row))


def categories_of(row: dict) -> dict[str, str | None]:
    return {name: row[name] for name in CATEGORIES if name in row}


def streamed(state: FeatureState, frame: pl.DataFrame) -> list[dict[str, float]]:
    """Features of each row; what each row's label says is told right after it, valid from its own time on."""
    found = []
    for row in frame.to_dicts():
        found.append(state.observe(transaction(row)))
        if row["is_fraud"] == 1:
            state.learn_label(row["terminal_id"], row["time"], row.get("label_time"), categories_of(row))
    return found


def batch(frame: pl.DataFrame, config: FeatureConfig, labelled: bool = True) -> list[dict[str, float]]:
    return compute_features(frame, config, labelled, CATEGORIES).drop("transaction_id").to_dicts()


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, windows=st.sampled_from([(1, 7, 30), (2,)]), delay=st.sampled_from([0, 1, 7]))
def test_the_stream_gives_the_numbers_of_the_batch(rows, windows, delay):
    frame, config = table(rows), FeatureConfig(windows_days=windows, label_delay_days=delay)
    state = FeatureState(config, True, CATEGORIES)
    for one, other in zip(streamed(state, frame), batch(frame, config), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(rows=ROWS)
def test_the_stream_gives_the_numbers_of_the_batch_without_labels(rows):
    frame = table(rows).with_columns(is_fraud=None)
    state = FeatureState(CONFIG, False, CATEGORIES)
    for one, other in zip(streamed(state, frame), batch(frame, CONFIG, False), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, share=st.floats(0, 1))
def test_a_restart_changes_no_number(tmp_path_factory, rows, share):
    frame, path = table(rows), tmp_path_factory.mktemp("state") / "state.parquet"
    cut = int(share * frame.height)
    state = FeatureState(CONFIG, True, CATEGORIES)
    before = streamed(state, frame[:cut])
    state.save(path)
    after = streamed(FeatureState.load(path, CONFIG, True, CATEGORIES), frame[cut:])
    assert before + after == streamed(FeatureState(CONFIG, True, CATEGORIES), frame)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, share=st.floats(0, 1))
def test_a_state_made_from_a_table_goes_on_where_the_table_ends(rows, share):
    frame = table(rows)
    cut = max(1, int(share * frame.height))
    state = FeatureState.after(frame[:cut], CONFIG, True, CATEGORIES)
    for one, other in zip(streamed(state, frame[cut:]), batch(frame, CONFIG)[cut:], strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


def test_a_transaction_that_comes_late_gets_what_was_known_by_its_time():
    shops = ("grocer", "cinema", "grocer", "grocer")
    frame = table(
        [(hour, 0, 0, 100 + hour, 0, None, shop, "chip") for hour, shop in enumerate(shops, start=1)]
    )
    expected, rows = batch(frame, CONFIG), frame.to_dicts()
    state = FeatureState(CONFIG, True, CATEGORIES)
    for number in (0, 1, 3):
        state.observe(transaction(rows[number]))
    assert state.observe(transaction(rows[2])) == pytest.approx(expected[2], rel=1e-9)
    assert state.observe(transaction(rows[3]))["customer_count_1d"] == 5.0


def test_a_category_called_customer_leaves_the_features_of_customers_as_they_are():
    frame = table(
        [(hour, 0, 0, 100, 0, None, shop, "chip") for hour, shop in enumerate(("grocer", "cinema"))]
    )
    state, found = FeatureState(CONFIG, True, ("customer",)), {}
    for row in frame.to_dicts():
        found = state.observe(transaction(row)._replace(categories={"customer": row["shop"]}))
    expected = compute_features(frame.rename({"shop": "customer"}), CONFIG, True, ["customer"])
    assert found == pytest.approx(expected.drop("transaction_id").row(1, named=True), rel=1e-9)


def test_a_transaction_or_a_label_without_one_of_the_categories_is_refused():
    state = FeatureState(CONFIG, True, CATEGORIES)
    with pytest.raises(RequestError, match=r"categories shop, entry.*without entry"):
        state.observe(Transaction(START, "c", "m", 1.0, {"shop": "grocer"}))
    with pytest.raises(RequestError, match="without entry, shop"):
        state.learn_label("m", START)
    assert state.num_events == 0


def test_the_state_forgets_what_no_window_needs_any_more():
    config = FeatureConfig(windows_days=(1,), label_delay_days=2)
    frame = generate(200, 100, 70, seed=0).frame.with_columns(
        shop=pl.col("terminal_id").str.tail(1), entry=None
    )
    state, kept = FeatureState(config, True, CATEGORIES), []
    for rows in frame.with_columns(day=pl.col("time").dt.date()).partition_by("day"):
        streamed(state, rows)
        kept.append(state.num_events)
    assert max(kept[10:]) < 1.5 * kept[9]


def test_customers_and_terminals_that_never_come_back_are_forgotten():
    state = FeatureState(CONFIG, True)
    for number in range(300):
        state.observe(Transaction(START, f"c{number}", f"m{number}", 1.0))
        state.learn_label(f"m{number}", START)
    for number in range(300):
        state.observe(Transaction(START + timedelta(days=100, minutes=number), "c", "m", 1.0))
    assert state.num_events == 600


def test_a_state_that_cannot_be_read_or_is_of_other_windows_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "state.parquet"
    state = FeatureState(CONFIG, True)
    state.observe(Transaction(START, "c", "m", 1.0))
    state.save(path)
    with pytest.raises(RequestError, match=r"windows_days.*remove it"):
        FeatureState.load(path, FeatureConfig(windows_days=(1, 2)), True)
    with pytest.raises(RequestError, match="remove it"):
        FeatureState.load(path, CONFIG, False)
    with pytest.raises(RequestError, match=r"shop.*remove it"):
        FeatureState.load(path, CONFIG, True, CATEGORIES)
    for content in (b"", b"PAR1 and no more", path.read_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(RequestError, match="remove it"):
            FeatureState.load(path, CONFIG, True)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(RequestError, match="remove it"):
        FeatureState.load(path, CONFIG, True)


def test_a_save_that_fails_leaves_the_state_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "state.parquet"
    state = FeatureState(CONFIG, True)
    state.save(path)
    before = path.read_bytes()

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(FieldworkError, match="disk"):
        state.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
