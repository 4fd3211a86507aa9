from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.data.home import Home
from shared.data.store import Ref, default_store
from shared.orchestration.publish import Published, publish_bundle, usual_checks
from shared.orchestration.run import Run
from shared.publishing.bundle import Bundle
from shared.publishing.gate import REQUIRED_CHECKS, Check
from shared.publishing.registry import Registry
from shared.publishing.summary import RunSummary

GOOD = {"explanation_faithful": Check(True), "leak_audit_clean": Check(True)}
METRIC = {"value": 0.8, "higher_is_better": True, "n": 200}


def summary(**changes: Any) -> RunSummary:
    known = {"pipeline": "widgets", "preset": "tiny", "source": "synthetic", "contract": "widgets@1.0.0"}
    known |= {"rows": {"in": 3}, "metrics": {"test/roc_auc": METRIC}, "verdict": "It wins."}
    return RunSummary.model_validate(known | changes)


def gap(low: float, high: float) -> dict[str, Any]:
    ends = {"difference": (low + high) / 2, "low": low, "high": high}
    return ends | {"n": 200, "higher_is_better": True, "metric": "ROC-AUC"}


class Comparisons:
    """A `compare` that remembers with whom it was asked to compare."""

    def __init__(self, result: Mapping[str, Any] | None) -> None:
        self.result, self.asked = result, []

    def __call__(self, champion: Bundle, version: str) -> Mapping[str, Any] | None:
        self.asked.append((champion.config["value"], version))
        return self.result


@pytest.fixture
def stored(make_bundle: Callable[..., Bundle], place: Home) -> Callable[..., Ref]:
    """A bundle in the store; its configuration and origin can be chosen."""

    def store(value: float, **origin: object) -> Ref:
        files = {"summary.json": summary().model_dump_json()}
        made = make_bundle(f"bundle-{value}", value=value, origin=origin, files=files)
        return default_store().put_tree(made.folder)

    return store


def publish(stored: Ref, compare: Comparisons, checks: Mapping[str, Check] = GOOD) -> Published:
    history = [{"epoch": 0, "train_loss": 0.5}, {"epoch": 1, "train_loss": 0.25}]
    return publish_bundle(stored, history=history, checks=lambda _: checks, compare=compare, margin=0.01)


def test_first_model_is_logged_and_promoted_without_a_comparison(stored, capsys, monkeypatch):
    monkeypatch.setattr("shared.orchestration.publish.current_run", lambda: Run(progress=True))
    compare = Comparisons(None)
    published = publish(stored(1.0), compare)
    assert (published.version, published.promoted, compare.asked) == (1, True, [])
    said = "version 1: promoted. It is the first model and its own checks passed."
    assert said in capsys.readouterr().err
    run = Registry()._tracking.client.get_run(published.run_id)
    assert run.data.metrics["test/roc_auc"] == 0.8
    assert run.data.metrics["train_loss"] == 0.25
    assert run.data.params["value"] == "1.0"


@pytest.mark.parametrize(
    ("difference", "promoted", "word"),
    [
        (gap(-0.005, 0.02), True, "Not worse"),
        (gap(-0.05, -0.02), False, "Worse"),
        (None, False, "No comparison"),
    ],
    ids=["not-worse", "worse", "no-result"],
)
def test_paired_comparison_with_the_champion_decides(stored, difference, promoted, word):
    publish(stored(1.0), Comparisons(None))
    compare = Comparisons(difference)
    published = publish(stored(2.0), compare)
    assert compare.asked == [(1.0, "1")]
    assert (published.version, published.promoted) == (2, promoted)
    assert published.reasons[0].startswith(f"{word}")
    champion = Registry().champion("widgets")
    assert champion is not None
    assert champion.version == (2 if promoted else 1)


@pytest.mark.parametrize(
    "origin", [{"contract_digest": "1" * 64}, {"source": "other_table"}], ids=["contract", "table"]
)
def test_model_of_another_contract_or_table_is_never_compared_by_numbers(stored, origin):
    publish(stored(1.0, source="table"), Comparisons(None))
    compare = Comparisons(gap(0.1, 0.2))
    published = publish(stored(2.0, **({"source": "table"} | origin)), compare)
    assert compare.asked == []
    assert not published.promoted
    assert "not comparable" in published.reasons[0]


@pytest.mark.parametrize("faithful", [True, False, None])
def test_usual_checks_pass_on_what_became_of_the_explanation(make_bundle, faithful):
    warning = None if faithful else "Not faithful."
    metrics = {"explanation": {"attribution": {"faithful": faithful, "warning": warning}}}
    checks = usual_checks(make_bundle("bundle", metrics=metrics))
    assert checks["explanation_faithful"] == Check(faithful, warning or "")
    assert checks.keys() == set(REQUIRED_CHECKS)


def test_failed_check_keeps_a_better_model_out(stored):
    publish(stored(1.0), Comparisons(None))
    failed = {**GOOD, "beats_base_rate": Check(False, "it does not")}
    published = publish(stored(2.0), Comparisons(gap(0.1, 0.2)), failed)
    assert not published.promoted
    assert published.reasons == ("Check beats base rate did not pass: it does not.",)


def test_champion_is_not_judged_by_the_checks_of_today(stored):
    seen = []

    def checks(bundle: Bundle) -> Mapping[str, Check]:
        seen.append(bundle.config["value"])
        return GOOD

    for value in (1.0, 2.0):
        publish_bundle(
            stored(value), history=[], checks=checks, compare=Comparisons(gap(0.0, 0.1)), margin=0.0
        )
    assert seen == [1.0, 2.0]


def test_same_bundle_published_again_is_neither_logged_nor_decided_twice(stored):
    first, second = stored(1.0), stored(2.0)
    published = [publish(ref, Comparisons(gap(0.1, 0.2))) for ref in (first, second)]
    events = Registry().verify_history("widgets")
    compare = Comparisons(gap(0.1, 0.2))
    again = [publish(ref, compare) for ref in (first, second)]
    assert [(found.run_id, found.version) for found in again] == [
        (found.run_id, found.version) for found in published
    ]
    assert [found.promoted for found in again] == [False, True]
    assert compare.asked == []
    assert Registry().verify_history("widgets") == events


def test_summary_is_completed_with_the_models_place(stored):
    published = publish(stored(1.0), Comparisons(None))
    complete = published.complete(summary())
    assert complete.run_id == published.run_id
    assert complete.model is not None
    assert complete.model.model_dump() == {
        "name": "widgets", "version": 1, "promoted": True, "bundle": published.bundle
    }  # fmt: skip
    assert complete.report == f"{published.bundle}/report.html"
    assert complete.metrics == summary().metrics


def test_model_whose_run_died_before_the_gate_is_judged_by_the_next_run(stored):
    bundle = stored(1.0)

    def dies(_: Bundle) -> Mapping[str, Check]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_bundle(bundle, history=[], checks=dies, compare=Comparisons(None), margin=0.01)
    assert Registry().champion("widgets") is None
    assert publish(bundle, Comparisons(None)).promoted
    assert [found.version for found in Registry().list("widgets")] == [1]
