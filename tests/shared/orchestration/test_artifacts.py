from collections.abc import Callable
from typing import Any

import pytest

from shared.orchestration.artifacts import show_summary
from shared.publishing.summary import RunSummary

pytestmark = pytest.mark.usefixtures("prefect_server")


def metric(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "higher_is_better": True, "n": 10}


def summary(**changes: Any) -> RunSummary:
    document: dict[str, Any] = {
        "pipeline": "toy_shop", "preset": "tiny", "source": "synthetic", "contract": "toys@1.0.0",
        "rows": {"in": 12345, "test": 200}, "verdict": "It wins.", "report": "/x/report.html",
        "metrics": {"test/auc": metric(0.79, 0.72, 0.85), "test/loss": metric(0.5)},
        "baselines": {"prior": {"test/auc": metric(0.5, 0.4, 0.6)}},
        "model": {"name": "toy_shop", "version": 3, "promoted": True, "bundle": "/x"},
    }  # fmt: skip
    return RunSummary.model_validate(document | changes)


@pytest.fixture
def shown() -> Callable[[RunSummary], dict[str, Any]]:
    """Runs a flow that shows the summary; returns the artifacts of that flow run by key."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    def show(given: RunSummary) -> dict[str, Any]:
        @flow(name="shows")
        def shows() -> None:
            show_summary(given)

        state = shows(return_state=True)
        state.result()
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
        with get_client(sync_client=True) as client:
            return {found.key: found for found in client.read_artifacts(artifact_filter=wanted)}

    return show


def test_summary_and_metrics_stand_beside_the_flow_run(shown):
    artifacts = shown(summary())
    assert artifacts.keys() == {"toy-shop-summary", "toy-shop-metrics"}
    text = artifacts["toy-shop-summary"].data
    for part in ("It wins.", "Version 3, promoted to champion.", "in 12,345", "/x/report.html"):
        assert part in text
    assert "0.790 (0.720 to 0.850)" in str(artifacts["toy-shop-metrics"].data)
    assert "0.500 (0.400 to 0.600)" in str(artifacts["toy-shop-metrics"].data)


def test_summary_of_a_run_without_model_or_numbers_is_shown_too(shown):
    artifacts = shown(summary(model=None, baselines={}, metrics={"test/auc": metric(None)}, report=None))
    text = artifacts["toy-shop-summary"].data
    assert "Version" not in text
    assert "None" not in text
    assert "test/auc" in str(artifacts["toy-shop-metrics"].data)
