import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.evaluation.metric import undefined
from shared.publishing.plain import canonical, json_digest, json_text, plain
from shared.publishing.summary import (
    MetricValue,
    PublishedModel,
    RunSummary,
    TrainingSummary,
    headlines_first,
)


def summary(**changes: Any) -> RunSummary:
    metric = {"value": 0.8, "low": 0.7, "high": 0.9, "unit": "", "higher_is_better": True, "n": 200}
    known = {"pipeline": "widgets", "preset": "tiny", "source": "synthetic", "contract": "widgets@1.0.0"}
    known |= {"rows": {"in": 3}, "metrics": {"test/roc_auc": metric}, "verdict": "It wins."}
    return RunSummary.model_validate(known | changes)


def test_json_has_exactly_the_documented_keys() -> None:
    expected = (
        "pipeline run_id preset source contract rows metrics baselines verdict explanation model training"
    )
    assert list(summary().to_json()) == [*expected.split(), "seconds", "report"]
    metric = summary().to_json()["metrics"]["test/roc_auc"]
    assert list(metric) == ["value", "low", "high", "unit", "higher_is_better", "n"]


def test_numbers_that_are_not_finite_become_null_everywhere() -> None:
    metric = {
        "value": math.nan,
        "low": -math.inf,
        "high": np.float32("inf"),
        "higher_is_better": True,
        "n": 0,
    }
    made = summary(metrics={"test/roc_auc": metric}, seconds={"train": math.nan})
    text = json.dumps(made.to_json(), allow_nan=False)
    found = json.loads(text)
    assert found["metrics"]["test/roc_auc"]["value"] is None
    assert found["metrics"]["test/roc_auc"]["low"] is None
    assert found["seconds"]["train"] is None


def test_summary_survives_its_own_json() -> None:
    made = summary(model={"name": "widgets", "version": 3, "promoted": True, "bundle": "/b"})
    assert RunSummary.model_validate(json.loads(json.dumps(made.to_json()))) == made


def test_later_steps_fill_in_what_they_learn() -> None:
    model = PublishedModel(name="widgets", version=1, promoted=False, bundle="/b")
    filled = summary().model_copy(update={"run_id": "r1", "model": model})
    assert filled.to_json()["model"]["version"] == 1


def test_result_objects_with_to_json_are_metrics() -> None:
    @dataclass(frozen=True)
    class Result:
        def to_json(self) -> dict[str, Any]:
            return {"value": np.float32(0.5), "higher_is_better": False, "n": 4}

    assert MetricValue.model_validate(Result()).value == 0.5


def test_metric_that_is_not_defined_keeps_its_reason() -> None:
    metric = undefined("test/roc_auc", "all rows are of one class", n=7)
    made = summary(metrics={"test/roc_auc": metric}).to_json()["metrics"]["test/roc_auc"]
    assert made == metric.to_json()
    assert made["reason"] == "all rows are of one class"


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"roc_auc": {"value": 1, "higher_is_better": True, "n": 1}}},  # no part in front
        {"metrics": {"test/x": {"value": 1, "low": 2, "high": 1, "higher_is_better": True, "n": 1}}},
        {"metrics": {"test/x": {"value": 1, "higher_is_better": True, "n": -1}}},
        {"metrics": {"test/x": {"value": 1, "n": 1}}},  # no direction
        {"verdit": "misspelt"},
    ],
)
def test_what_cannot_be_defended_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        summary(**changes)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)


@given(trees)
def test_any_tree_becomes_strict_json(tree: Any) -> None:
    assert json.loads(json_text(tree)) == plain(tree)
    assert json.loads(canonical(tree)) == plain(tree)


def test_digest_ignores_the_order_of_keys_but_no_value() -> None:
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
    assert json_digest({"a": 1}) != json_digest({"a": 1.5})


def test_unknown_objects_are_refused_instead_of_printed() -> None:
    with pytest.raises(TypeError, match="Received object"):
        plain({"model": object()})


def test_arrays_and_scalars_of_numpy_are_plain() -> None:
    assert plain({"a": np.arange(2), "b": np.float64(1.5), "c": np.bool_(True)}) == {
        "a": [0, 1],
        "b": 1.5,
        "c": True,
    }


def test_record_takes_what_is_its_own_out_of_a_larger_document() -> None:
    document = {"device": "cpu", "epochs": 3, "seconds": 1.5, "tier": "eager", "history": [{"loss": 0.1}]}
    assert TrainingSummary.out_of(document) == TrainingSummary(device="cpu", epochs=3, seconds=1.5)
    with pytest.raises(ValidationError, match="device"):
        TrainingSummary.out_of({"epochs": 3, "seconds": 1.5})
    assert TrainingSummary.out_of({"device": "cpu", "seconds": 1.5}).epochs is None


def test_headlines_come_first_and_no_metric_is_lost() -> None:
    metrics = {"test/ece": 1, "validation/gini": 2, "test/gini": 3, "test/roc_auc": 4}
    ordered = headlines_first(metrics, ["roc_auc", "absent", "gini"])
    assert list(ordered.items()) == [
        ("test/roc_auc", 4),
        ("test/gini", 3),
        ("test/ece", 1),
        ("validation/gini", 2),
    ]
