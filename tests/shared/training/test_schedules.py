import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.training.schedules import learning_rate_at
from shared.training.settings import FitSettings

SCHEDULES = ["constant", "cosine", "warmup_cosine", "one_cycle"]


def rates(num_steps, **options):
    settings = FitSettings(learning_rate=0.5, **options)
    return [learning_rate_at(step, num_steps, settings) for step in range(num_steps)]


@given(st.sampled_from(SCHEDULES), st.integers(1, 300), st.floats(0, 0.99))
def test_rate_is_positive_and_never_above_the_peak(schedule, num_steps, warmup):
    values = rates(num_steps, schedule=schedule, warmup_fraction=warmup)
    assert all(0 < value <= 0.5 + 1e-12 for value in values)


@given(st.sampled_from(SCHEDULES[1:]), st.integers(2, 300))
def test_rate_rises_to_one_peak_and_then_only_falls(schedule, num_steps):
    values = rates(num_steps, schedule=schedule)
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)


def test_schedules_have_their_published_shapes():
    assert rates(3, schedule="constant") == [0.5, 0.5, 0.5]
    assert rates(4, schedule="cosine") == pytest.approx([0.5, 0.426777, 0.25, 0.073223], abs=1e-6)
    assert rates(8, schedule="warmup_cosine", warmup_fraction=0.5)[:5] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5]
    )
    one_cycle = rates(100, schedule="one_cycle")
    assert one_cycle[0] == pytest.approx(0.5 / 25)
    assert one_cycle.index(max(one_cycle)) == 30
    assert max(rates(100, schedule="one_cycle", warmup_fraction=0.1)[:11]) == pytest.approx(0.5)


def test_fingerprint_ignores_what_cannot_change_the_result():
    base = FitSettings()
    same = FitSettings(max_seconds=5, checkpoint_every_seconds=1, keep_last=9, check_every_steps=3)
    assert base.fingerprint() == same.fingerprint()
    assert base.fingerprint() != FitSettings(learning_rate=2e-3).fingerprint()
    assert base.fingerprint() != FitSettings(seed=1).fingerprint()


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0},
        {"ema_decay": 1.0},
        {"keep_last": 1},
        {"unknown": 1},
        {"patience": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        FitSettings(**wrong)
