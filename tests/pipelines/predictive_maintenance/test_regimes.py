"""Operating regimes come out by themselves: as many as are clearly apart, and one where nothing is."""

import json

import numpy as np
import pytest

from pipelines.predictive_maintenance.regimes import Regimes

# Settings as in the turbofan sets with six operating conditions: altitude, Mach number, throttle.
SIX = np.array(
    [[0, 0, 100], [10, 0.25, 100], [20, 0.7, 100], [25, 0.62, 60], [35, 0.84, 100], [42, 0.84, 100]]
)
SIX_NOISE = np.array([0.002, 0.0005, 0.0])


def scattered(
    centres: np.ndarray, noise: np.ndarray | float, rows: int, seed: int = 0, shares=None
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    regime = rng.choice(len(centres), rows, p=shares)
    return (centres[regime] + rng.normal(0, 1, (rows, centres.shape[1])) * noise).astype(np.float32)


def one_condition(rows: int = 3000) -> np.ndarray:
    """Settings as in the sets with one condition: two that scatter, one of them rounded, and one that is constant."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(0, 0.002, rows), rng.normal(0, 0.0003, rows).round(4), np.full(rows, 100.0)]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_six_conditions_are_six_regimes_and_every_row_is_in_its_own(seed):
    settings = scattered(SIX, SIX_NOISE, 5000, seed)
    regimes = Regimes.fit(settings, seed)
    assert regimes.num_regimes == 6
    condition = np.abs(settings[:, None] - SIX).sum(axis=2).argmin(axis=1)
    assert len({*zip(condition.tolist(), regimes.assign(settings).tolist(), strict=True)}) == 6
    assert not regimes.is_unseen(scattered(SIX, SIX_NOISE, 5000, seed + 10)).any()


@pytest.mark.parametrize(
    "settings",
    [
        one_condition(),
        np.random.default_rng(0).uniform(0, 100, (3000, 1)),
        np.random.default_rng(0).uniform(0, 100, (3000, 2)),
        np.full((100, 2), 7.0),
        np.full((100, 1), np.nan),
        np.zeros((100, 0)),
        np.ones((1, 2)),
    ],
    ids=[
        "one condition",
        "any load",
        "any load and speed",
        "constant",
        "never known",
        "no settings",
        "one row",
    ],
)
def test_settings_that_scatter_or_stand_still_are_one_regime(settings):
    regimes = Regimes.fit(settings.astype(np.float32), 0)
    assert regimes.num_regimes == 1
    assert (regimes.assign(settings) == 0).all()


def test_two_speeds_are_two_regimes_the_commoner_one_first():
    settings = scattered(np.array([[1500.0], [3000.0]]), 5.0, 2000, shares=[0.1, 0.9])
    regimes = Regimes.fit(settings, 0)
    assert regimes.num_regimes == 2
    assert regimes.assign(np.array([[3010.0], [1490.0]])).tolist() == [0, 1]


def test_a_few_outliers_are_no_regime():
    settings = np.vstack([scattered(np.array([[50.0, 20.0]]), 1.0, 3000), [[5000.0, 20.0]] * 5])
    assert Regimes.fit(settings, 0).num_regimes == 1


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (SIX, [[5.0, 0.1, 100.0], [25.0, 0.62, 80.0]]),
        (None, [[0.0, 0.0, 60.0], [0.05, 0.0, 100.0]]),
    ],
    ids=["between six", "beside one"],
)
def test_settings_far_from_all_of_training_are_unseen(settings, where):
    known = one_condition() if settings is None else scattered(settings, SIX_NOISE, 3000)
    regimes = Regimes.fit(known, 0)
    assert regimes.is_unseen(np.array(where)).all()
    assert regimes.is_unseen(known).mean() < 0.001


def test_a_row_with_a_lost_setting_is_ambiguous_only_where_the_others_do_not_tell():
    regimes = Regimes.fit(scattered(SIX, SIX_NOISE, 5000), 0)
    nan = np.nan
    rows = np.array(
        [[20.0, nan, nan], [nan, 0.84, 100.0], [nan, nan, 60.0], [nan, nan, nan], [0.0, 0.0, 100.0]]
    )
    assert regimes.is_ambiguous(rows).tolist() == [False, True, False, True, False]
    assert regimes.assign(rows)[0] == regimes.assign(SIX[2:3])[0]


def test_the_same_seed_gives_the_same_regimes_and_json_gives_them_back():
    settings = scattered(SIX, SIX_NOISE, 3000)
    regimes = Regimes.fit(settings, 5)
    again = Regimes.from_json(json.loads(json.dumps(Regimes.fit(settings, 5).to_json())))
    for name in ("mean", "scale", "centres", "reach"):
        np.testing.assert_array_equal(getattr(again, name), getattr(regimes, name))
    none = Regimes.from_json(json.loads(json.dumps(Regimes.fit(np.zeros((9, 0)), 0).to_json())))
    assert none.assign(np.zeros((4, 0))).tolist() == [0] * 4
    assert not none.is_unseen(np.zeros((4, 0))).any()
