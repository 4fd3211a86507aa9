import json

import numpy as np
import pytest

from pipelines.credit_scoring.fairness import MIN_GROUP_ROWS, audit_groups


def decisions(rates, n=1000, seed=0, odds=None):
    """Return y, selected, group: group g is selected at rates[g], or at odds[g] = (if y = 1, if y = 0)."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(rates)), n)
    y = (generator.random(group.size) < 0.5).astype(int)
    rate = np.asarray(rates)[group] if odds is None else np.asarray(odds)[group, 1 - y]
    return y, (generator.random(group.size) < rate).astype(int), np.array([f"g{g}" for g in group])


def test_rates_are_counted_per_group():
    audit = audit_groups([1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 1], list("aaaabb"), attribute="sex")
    a, b = audit.groups
    assert (a.group, a.n, a.num_positives) == ("a", 4, 2)
    assert (a.selection_rate.value, a.true_positive_rate.value, a.false_positive_rate.value) == (
        0.5,
        0.5,
        0.5,
    )
    assert (b.selection_rate.value, b.true_positive_rate.value, b.false_positive_rate.value) == (1, 1, 1)
    assert b.selection_rate.low < 0.5
    assert b.selection_rate.high == 1


def test_adverse_impact_is_found_with_its_groups():
    gap = audit_groups(*decisions([0.6, 0.3, 0.5]), attribute="a").gaps["selection_ratio"]
    assert (gap.highest, gap.lowest, gap.finding) == ("g0", "g1", "gap")
    assert gap.value == pytest.approx(0.5, abs=0.06)
    assert gap.low < gap.value < gap.high < 0.8


def test_equal_opportunity_is_separated_from_selection():
    y, selected, group = decisions([0, 0], odds=[(0.8, 0.2), (0.5, 0.5)])
    gaps = audit_groups(y, selected, group, attribute="a").gaps
    assert gaps["selection"].finding == "no measurable gap"
    assert gaps["equal_opportunity"].finding == "gap"
    assert gaps["equalised_odds"].value >= gaps["equal_opportunity"].value - 1e-12


def test_equalised_odds_sees_a_gap_in_false_positives_alone():
    y, selected, group = decisions([0, 0], odds=[(0.6, 0.1), (0.6, 0.4)])
    gaps = audit_groups(y, selected, group, attribute="a").gaps
    assert gaps["equal_opportunity"].finding == "no measurable gap"
    assert gaps["equalised_odds"].finding == "gap"


@pytest.mark.parametrize("num_groups", [2, 8])
def test_equal_groups_are_rarely_accused_however_many_they_are(num_groups):
    accused = {"selection": 0, "equal_opportunity": 0, "equalised_odds": 0}
    for seed in range(80):
        audit = audit_groups(*decisions([0.3] * num_groups, n=120, seed=seed), attribute="a", seed=seed)
        for name in accused:
            accused[name] += audit.gaps[name].finding == "gap"
    assert max(accused.values()) / 80 <= 0.1


def test_ratio_that_the_data_cannot_settle_is_unclear():
    selected = [1] * 30 + [0] * 30 + [1] * 21 + [0] * 39
    audit = audit_groups([0, 1] * 60, selected, ["a"] * 60 + ["b"] * 60, attribute="a")
    gap = audit.gaps["selection_ratio"]
    assert gap.value == pytest.approx(0.7)
    assert gap.low < 0.8 < gap.high
    assert gap.finding == "unclear"


def test_small_groups_are_listed_but_not_judged():
    y, selected, group = decisions([0.5, 0.5])
    y, selected = np.r_[y, [1] * 20], np.r_[selected, [0] * 20]
    audit = audit_groups(y, selected, np.r_[group, ["tiny"] * 20], attribute="a")
    tiny = audit.groups[-1]
    assert (tiny.group, tiny.n) == ("tiny", 20)
    assert str(MIN_GROUP_ROWS) in tiny.too_small
    assert not tiny.false_positive_rate.is_defined
    assert "tiny" not in {gap.lowest for gap in audit.gaps.values()}


def test_group_without_enough_of_a_class_is_left_out_of_that_rate_only():
    y, selected, group = decisions([0.5, 0.5], n=100)
    y[(group == "g1")] = 0
    audit = audit_groups(y, selected, group, attribute="a")
    assert audit.gaps["equal_opportunity"].finding == "too little data"
    assert audit.gaps["selection"].highest
    assert "one class" in audit.groups[1].too_small


def test_calibration_within_groups_has_a_direction():
    y, selected, group = decisions([0.5, 0.5])
    probability = np.where(group == "g0", 0.5, 0.8)
    g0, g1 = audit_groups(y, selected, group, attribute="a", probability=probability).groups
    assert g0.calibration_gap.low < 0 < g0.calibration_gap.high
    assert g1.calibration_gap.low > 0.2


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_deciding_the_same_for_everyone_is_no_gap(rate):
    audit = audit_groups(*decisions([rate, rate]), attribute="a")
    assert {gap.finding for gap in audit.gaps.values()} == {"no measurable gap"}
    assert all(gap.highest != gap.lowest for gap in audit.gaps.values())
    json.dumps(audit.to_json(), allow_nan=False)


def test_missing_values_are_a_group_and_one_group_or_none_is_no_crash():
    audit = audit_groups([0, 1, 1], [0, 1, 0], [None, float("nan"), "a"], attribute="a")
    assert [(group.group, group.n) for group in audit.groups] == [("a", 1), ("missing", 2)]
    assert {gap.finding for gap in audit.gaps.values()} == {"too little data"}
    assert audit_groups([], [], [], attribute="a").groups == ()


def test_same_seed_same_audit_and_wrong_lengths_are_named():
    data = decisions([0.5, 0.4])
    assert audit_groups(*data, attribute="a") == audit_groups(*data, attribute="a")
    with pytest.raises(ValueError, match="decisions"):
        audit_groups([0, 1], [1], ["a", "b"], attribute="a")
    with pytest.raises(ValueError, match="groups"):
        audit_groups([0, 1], [1, 0], ["a"], attribute="a")
