"""What is learnt from each reading: up to the cap, from running machines as a bound, and what is not known."""

import numpy as np
import pytest

from pipelines.predictive_maintenance.config import TargetConfig
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.targets import Scale, Targets, has_failures, healthy_rows
from shared.errors import RequestError

SCALE = Scale(cap=4.0, horizon=2.0)


def test_remaining_life_is_learnt_up_to_the_cap_and_zero_at_the_failing_reading(make_fleet):
    targets = Targets.of(make_fleet([range(8)]), SCALE)
    assert targets.rul.tolist() == [4, 4, 4, 4, 3, 2, 1, 0]
    assert targets.fails.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert not targets.is_bound.any()
    assert targets.is_known.all()


def test_a_running_machine_gives_bounds_below_the_cap_and_hides_only_its_last_horizon(make_fleet):
    targets = Targets.of(make_fleet([range(8)], ends_failed=False), SCALE)
    assert targets.rul.tolist() == [4, 4, 4, 4, 3, 2, 1, 0]
    assert targets.is_bound.tolist() == [False] * 4 + [True] * 4
    assert targets.is_known.tolist() == [True] * 5 + [False] * 3
    assert not targets.fails.any()


@pytest.mark.parametrize(
    ("config", "usual_cap", "expected"),
    [
        (TargetConfig(rul_cap=50, horizon=10), 125.0, Scale(50, 10)),
        (TargetConfig(), 125.0, Scale(125, 31)),
        (TargetConfig(), None, Scale(120, 30)),
        (TargetConfig(horizon=7), None, Scale(120, 7)),
    ],
    ids=["configured", "usual cap", "from the lives", "horizon alone"],
)
def test_cap_and_horizon_come_from_the_user_else_from_convention_else_from_the_lives(
    make_fleet, config, usual_cap, expected
):
    fleet = make_fleet([range(101), range(201), range(301)])
    assert Scale.of(fleet, config, usual_cap) == expected


def test_a_horizon_beyond_the_cap_is_refused_with_both_names(make_fleet):
    with pytest.raises(
        RequestError, match=r"target\.horizon of at most target\.rul_cap, 125 cycles.*Received 130"
    ):
        Scale.of(make_fleet([range(200)]), TargetConfig(horizon=130), 125.0)
    with pytest.raises(ValueError, match=r"target\.horizon of at most target\.rul_cap, 50"):
        TargetConfig(rul_cap=50, horizon=51)


def test_fewer_than_six_failures_are_too_few(make_fleet):
    fleet = make_fleet([range(5)] * 6)
    assert has_failures(fleet, np.arange(6))
    assert not has_failures(fleet, np.arange(5))


def healthy(fleet: Fleet) -> np.ndarray:
    return healthy_rows(fleet, Targets.of(fleet, SCALE), SCALE)


def test_healthy_is_what_lies_as_far_from_failure_as_the_cap(make_fleet):
    fleet = make_fleet([range(200), range(200)])
    assert (fleet.remaining()[healthy(fleet)] >= SCALE.cap).all()
    assert len(healthy(fleet)) == 2 * 196


def test_where_that_is_little_the_first_half_of_each_life_stands_in(make_fleet):
    assert healthy(make_fleet([range(8), range(5)])).tolist() == [0, 1, 2, 3, 8, 9, 10]
