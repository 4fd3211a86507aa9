"""The alarm of a fleet without failures: the promised share of quiet on new machines, no more than can be promised."""

import json

import numpy as np
import pytest

from pipelines.predictive_maintenance.alarm import Alarm


def scores(num_machines: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(num_machines), 30)
    return np.exp(rng.normal(0, 0.3, len(units)) + rng.normal(0, 0.5, num_machines)[units]), units


@pytest.mark.parametrize(("num_machines", "promised"), [(1, 0.5), (3, 0.75), (20, 0.95), (500, 0.99)])
def test_few_machines_promise_little(num_machines, promised):
    alarm = Alarm.fit(*scores(num_machines, 0))
    assert alarm.quiet_share == promised
    assert np.isfinite(alarm.threshold)


def test_the_promised_share_of_windows_of_new_machines_stays_quiet():
    quiet = []
    for seed in range(20):
        alarm = Alarm.fit(*scores(30, seed))
        quiet.append(np.mean(scores(200, 1000 + seed)[0] <= alarm.threshold))
    assert np.mean(quiet) >= alarm.quiet_share - 0.01


def test_what_is_unusual_is_looked_at_but_never_called_urgent():
    alarm = Alarm(threshold=2.0, quiet_share=0.9, num_machines=9)
    assert alarm.action(np.array([1.0, 2.0, 2.1, 99.0])) == [
        "run_on",
        "run_on",
        "plan_service",
        "plan_service",
    ]
    assert Alarm.from_json(json.loads(json.dumps(alarm.to_json()))) == alarm
