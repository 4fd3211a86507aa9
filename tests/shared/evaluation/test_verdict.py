import math

import pytest

from shared.evaluation.compare import Comparison
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import verdict


def difference(value, low, high, higher_is_better=True):
    outside = low > 0 or high < 0
    return Comparison("roc_auc", value, low, high, 200, outside, 0.5, higher_is_better)


NETWORK = Metric("test/roc_auc", 0.781, 0.767, 0.795, n=3000)


def test_verdict_reads_as_one_sentence_strongest_baseline_first():
    result = verdict(
        "The network",
        NETWORK,
        {
            "logistic_regression": difference(0.016, 0.009, 0.023),
            "boosting": difference(0.002, -0.006, 0.010),
        },
        baseline_names={"boosting": "gradient boosting"},
    )
    assert result.sentence == (
        "The network (ROC-AUC 0.781, 0.767 to 0.795) is within noise of gradient boosting "
        "(difference +0.002, -0.006 to +0.010) and beats logistic regression by 0.016 (0.009 to 0.023)."
    )
    assert (result.beats, result.best_baseline) == ("within noise", "boosting")


def test_verdict_admits_defeat():
    result = verdict("The network", NETWORK, {"boosting": difference(-0.02, -0.03, -0.01)})
    assert result.beats == "no"
    assert "is worse than boosting by 0.020 (0.010 to 0.030)" in result.sentence


def test_verdict_knows_that_a_lower_error_is_better():
    error = Metric("test/rmse", 12.5, 11.0, 14.0, "cycles", False, 100)
    result = verdict("The network", error, {"mean": difference(-3.0, -4.0, -2.0, higher_is_better=False)})
    assert result.beats == "yes"
    assert result.sentence.startswith(
        "The network (RMSE 12.5 cycles, 11.0 to 14.0) beats mean by 3.0 (2.0 to 4.0)"
    )


def test_verdict_does_not_invent_what_could_not_be_measured():
    nan = math.nan
    result = verdict("The network", NETWORK, {"a": Comparison("m", nan, nan, nan, 0, False, nan)})
    assert "could not be compared with a" in result.sentence
    result = verdict("The network", undefined("roc_auc", "only one class"), {"a": difference(0, -1, 1)})
    assert "undefined on this split (only one class)" in result.sentence
    with pytest.raises(ValueError, match="baseline"):
        verdict("The network", NETWORK, {})
