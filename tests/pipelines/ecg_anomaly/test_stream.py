"""A stream says of every beat what the batch says, in whatever pieces the samples come; and it forgets."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import Record
from pipelines.ecg_anomaly.score import Scorer
from pipelines.ecg_anomaly.stream import Stream, StreamedBeat
from shared.errors import RequestError

RATE = 360
COLUMNS = ("score", "shape", "rhythm", "threshold", "p_value", "signal_quality")


@pytest.fixture(scope="module")
def scorer(judged) -> Scorer:
    """One that adapts to the first half minute."""
    config = judged.config.model_copy(
        update={"threshold": judged.config.threshold.model_copy(update={"adapt_minutes": 0.5})}
    )
    fitted = judged.fitted
    cut = fitted.thresholds.everybody
    thresholds = replace(fitted.thresholds, config=config.threshold, own=cut, usual=1.5)
    return Scorer(config, fitted.detector, thresholds)


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """Two minutes with a lead that fell off, missing and saturated samples and an offset."""
    raw = generate(3, 2.0, seed=3).records[2].signal + np.float32(40)
    raw[8_000:10_000] = np.nan
    raw[20_000:20_400] = raw[20_000]
    raw[30_000:30_004] = np.inf
    return raw


@pytest.fixture(scope="module")
def expected(scorer, signal) -> pl.DataFrame:
    """What the batch says of the whole signal."""
    return batch(scorer, signal, RATE)


def at_rate(raw: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == RATE:
        return raw
    filled = np.where(np.isfinite(raw), raw, 40.0).astype(np.float64)
    factor = np.gcd(rate_hz, RATE)
    found = resample_poly(filled - 40, rate_hz // factor, RATE // factor).astype(np.float32) + np.float32(40)
    found[20 * rate_hz : 24 * rate_hz] = np.nan
    return found


def streamed(stream: Stream, raw: np.ndarray, sizes: Iterator[int]) -> list[StreamedBeat]:
    found, place = [], 0
    while place < len(raw):
        size = next(sizes)
        found += stream.push(raw[place : place + size])
        place += size
    return [*found, *stream.finish()]


def batch(scorer: Scorer, raw: np.ndarray, rate_hz: float) -> pl.DataFrame:
    record = Record("stream", "stream", "MLII", float(rate_hz), raw)
    # a stream refuses nothing
    signal = scorer.config.signal.model_copy(update={"min_quality": 0.0})
    recordings = Recordings.of([record], signal, scorer.beats).require()
    return scorer.alerts(
        recordings, table := scorer.score_recordings(recordings), {"stream": rate_hz}, explain=False
    ).with_columns(table.select("shape", "rhythm"))


def assert_same(found: list[StreamedBeat], expected: pl.DataFrame) -> None:
    assert [one.r_sample for one in found] == expected["r_sample"].to_list()
    assert [one.beat for one in found] == expected["beat"].to_list()
    assert [one.beat_time for one in found] == expected["beat_time"].to_list()
    assert [one.flagged for one in found] == expected["flagged"].to_list()
    for name in COLUMNS:
        values = [getattr(one, name) for one in found]
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def random_sizes(seed: int, most: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(0, most))


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([40, 700, 20_000, 100_000]))
def test_in_whatever_pieces_samples_come_the_beats_are_those_of_the_batch(
    scorer, signal, expected, seed, most
):
    assert expected["flagged"].any()
    assert len(expected) > 100
    assert_same(streamed(scorer.stream(RATE), signal, random_sizes(seed, most)), expected)


@pytest.mark.parametrize("rate_hz", [128, 250, 257, 1000])
def test_at_other_sampling_rates_the_beats_are_those_of_the_batch(scorer, signal, rate_hz):
    raw = at_rate(signal, rate_hz)
    found = streamed(scorer.stream(rate_hz), raw, random_sizes(0, 2 * rate_hz))
    assert_same(found, batch(scorer, raw, rate_hz))


@pytest.mark.parametrize("missing_s", [1, 4, 20])
def test_a_recorder_that_begins_with_nothing_gives_the_beats_of_the_batch(scorer, signal, missing_s):
    raw = np.concatenate([np.full(missing_s * RATE, np.nan, dtype=np.float32), signal])
    assert_same(streamed(scorer.stream(RATE), raw, random_sizes(1, 900)), batch(scorer, raw, RATE))


def test_noise_and_its_crowded_peaks_give_the_beats_of_the_batch(scorer):
    raw = np.random.default_rng(0).normal(0, 0.5, 60 * RATE).astype(np.float32)
    assert_same(streamed(scorer.stream(RATE), raw, random_sizes(2, 900)), batch(scorer, raw, RATE))


def test_a_beat_comes_within_the_stated_delay(scorer, signal):
    stream, delays, piece = scorer.stream(RATE), [], 90
    for place in range(0, len(signal), piece):
        now_s = (place + piece) / RATE
        delays += [now_s - one.beat_time for one in stream.push(signal[place : place + piece])]
    assert max(delays[scorer.config.beats.usual_every :]) <= stream.delay_s < 9


def test_a_long_stream_takes_no_more_memory_than_a_short_one(scorer, signal):
    def held(stream: Stream) -> int:
        parts = (stream.clean.filled, stream.cut.signal, stream.memory.held.windows, *stream.own.first)
        return sum(part.nbytes for part in parts)

    stream, sizes = scorer.stream(RATE), []
    # three are more than all that is kept: half a minute of signal, and the last 81 beats
    part = signal[: 45 * RATE]
    for _ in range(8):
        stream.push(part)
        sizes.append(held(stream))
    assert max(sizes) <= 1.1 * sizes[2] < 1e6


def test_a_stream_without_heartbeats_or_samples_gives_nothing(scorer):
    assert scorer.stream(RATE).finish() == []
    for raw in (np.zeros(0), np.zeros(3000), np.full(3000, np.nan)):
        assert streamed(scorer.stream(RATE), raw.astype(np.float32), random_sizes(0, 900)) == []


def test_a_single_beat_is_given_at_the_end(scorer, signal):
    short = signal[: round(1.2 * RATE)]
    found = streamed(scorer.stream(RATE), short, random_sizes(0, 100))
    assert len(found) == 1
    assert np.isfinite(found[0].score)


def test_samples_beyond_any_electrode_are_refused_and_none_is_taken(scorer, signal, expected):
    stream = scorer.stream(RATE)
    found = stream.push(signal[:5000])
    with pytest.raises(RequestError, match="unit"):
        stream.push(np.full(100, 5000.0, dtype=np.float32))
    found += [*stream.push(signal[5000:]), *stream.finish()]
    assert_same(found, expected)


def test_what_cannot_be_streamed_is_refused_with_the_reason(scorer):
    with pytest.raises(RequestError, match="samples a second"):
        scorer.stream(30)
    with pytest.raises(RequestError, match="plain sampling rate"):
        scorer.stream(359.98765)
    upright = scorer.config.signal.model_copy(update={"polarity": "upright"})
    turned = replace(scorer, config=scorer.config.model_copy(update={"signal": upright}))
    with pytest.raises(RequestError, match="as_given"):
        turned.stream(RATE)
