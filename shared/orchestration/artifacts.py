"""What a run leaves in the Prefect UI: its summary in words, its metrics as a table."""

from typing import Any

from shared.publishing.summary import Metrics, RunSummary


def show_summary(summary: RunSummary) -> None:
    """Attach summary and metrics to the flow run under way; the keys give each pipeline a history of them."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    key = summary.pipeline.replace("_", "-")
    create_markdown_artifact(_markdown(summary), key=f"{key}-summary", description=summary.verdict)
    create_table_artifact(
        _rows(summary), key=f"{key}-metrics", description="Test metrics with 95 % intervals"
    )


def _markdown(summary: RunSummary) -> str:
    model = summary.model
    lines = [f"# {summary.pipeline}: {summary.source}, {summary.preset}", summary.verdict]
    if model:
        standing = "promoted to champion" if model.promoted else "not promoted"
        lines.append(f"Version {model.version}, {standing}.")
    lines.append("Rows: " + ", ".join(f"{name} {count:,}" for name, count in summary.rows.items()))
    if summary.report:
        lines.append(f"Report: `{summary.report}`")
    return "\n\n".join(lines)


def _rows(summary: RunSummary) -> list[dict[str, Any]]:
    models: dict[str, Metrics] = {"model": summary.metrics, **summary.baselines}
    return [
        {"metric": name, **{model: _cell(metrics, name) for model, metrics in models.items()}}
        for name in summary.metrics
    ]


def _cell(metrics: Metrics, name: str) -> str:
    metric = metrics.get(name)
    if metric is None or metric.value is None:
        return ""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
