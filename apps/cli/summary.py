"""The closing view of a run, made from the same JSON object that `--json` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from apps.cli.console import NO_NUMBER, duration, interval, number, plain, table
from pipelines.catalogue import PIPELINES, Pipeline

Summary = Mapping[str, Any]

_MOST_COLUMNS = 5


def show_summary(console: Console, summary: Summary) -> None:
    """Headline metrics beside the baselines, the verdict, and where everything is."""
    console.print()
    console.print(metric_table(summary))
    console.print()
    for label, text in _facts(summary):
        console.print(f"{label:<12} {plain(text)}", soft_wrap=True)
    console.print()


def metric_table(summary: Summary) -> Table:
    """One row per metric of the test part; the model first, then each baseline on the same split.

    With more models than a terminal has room for beside each other: one row per model, for the first metrics.
    """
    metrics = summary["metrics"]
    baselines = summary.get("baselines") or {}
    shown = [name for name in metrics if name.startswith("test/")] or list(metrics)
    if len(baselines) > _MOST_COLUMNS:
        return _model_table(summary, _headline_first(summary, shown)[:_MOST_COLUMNS])
    rows = [
        (
            _metric_label(name, metrics[name]),
            interval(metrics[name]),
            *(interval(values.get(name) or {}) for values in baselines.values()),
        )
        for name in shown
    ]
    columns = (summary["pipeline"], "model", *(name.replace("_", " ") for name in baselines))
    return table(columns, rows, right=columns[1:])


def _model_table(summary: Summary, shown: Sequence[str]) -> Table:
    models = {"model": summary["metrics"], **summary["baselines"]}
    rows = [
        (name.replace("_", " "), *(interval(metrics.get(metric) or {}) for metric in shown))
        for name, metrics in models.items()
    ]
    labels = [_metric_label(metric, summary["metrics"][metric]) for metric in shown]
    return table((summary["pipeline"], *labels), rows, right=tuple(labels))


def _headline_first(summary: Summary, names: Sequence[str]) -> list[str]:
    """The headline metric, then those that have a better direction, then the others."""
    headlines = [pipeline.headline for pipeline in PIPELINES if pipeline.name == summary["pipeline"]]
    metrics = summary["metrics"]
    return sorted(
        names, key=lambda name: (name not in headlines, metrics[name].get("higher_is_better") is None)
    )


def _metric_label(name: str, metric: Mapping[str, Any]) -> str:
    unit = f" ({metric['unit']})" if metric.get("unit") else ""
    direction = {True: " ↑", False: " ↓", None: ""}[metric.get("higher_is_better")]
    return f"{name}{unit}{direction}"


def _facts(summary: Summary) -> list[tuple[str, str]]:
    rows = summary.get("rows") or {}
    seconds = summary.get("seconds") or {}
    facts = [
        ("verdict", summary.get("verdict")),
        ("explanation", _explanation(summary.get("explanation") or {})),
        ("model", model_line(summary.get("model") or {})),
        ("data", f"{summary.get('contract')}: " + _pairs(rows, number)),
        ("training", _training(summary.get("training") or {})),
        ("time", _pairs(seconds, duration)),
        ("bundle", (summary.get("model") or {}).get("bundle")),
        ("report", summary.get("report")),
    ]
    return [(label, str(text)) for label, text in facts if text]


def model_line(model: Mapping[str, Any]) -> str:
    """`credit_scoring version 3, champion` or `..., not promoted`; empty when nothing was published."""
    if not model.get("name"):
        return ""
    standing = "promoted to champion" if model.get("promoted") else "not promoted"
    return f"{model['name']} version {model.get('version')}, {standing}"


def _explanation(explanation: Mapping[str, Any]) -> str:
    if not explanation.get("method"):
        return ""
    standing = {True: "faithful", False: "NOT faithful: do not rely on it", None: "not checked"}
    checked = standing[explanation.get("faithful")]
    error = explanation.get("completeness_error")
    return f"{explanation['method']}, {checked}, completeness error {number(error)}"


def _training(training: Mapping[str, Any]) -> str:
    parts = [str(training["device"])] if training.get("device") else []
    if training.get("epochs") is not None:
        parts.append(f"{number(training['epochs'])} epochs")
    if training.get("samples_per_second") is not None:
        parts.append(f"{number(float(training['samples_per_second']))} samples/s")
    return ", ".join(parts)


def _pairs(values: Mapping[str, Any], form: Any) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {form(value)}" for name, value in values.items())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pipeline of `run --all`: its summary, or why it failed. `seconds` are wall seconds."""

    pipeline: Pipeline
    seconds: float
    summary: Summary | None = None
    error: str = ""
    exit_code: int = 0

    @property
    def headline(self) -> Mapping[str, Any]:
        """The metric that stands for the pipeline; empty for one that failed."""
        return self.summary["metrics"].get(self.pipeline.headline) or {} if self.summary else {}

    @property
    def best_baseline(self) -> tuple[str, Mapping[str, Any]]:
        """Name and headline metric of the best baseline; empty where there is none or no direction is better."""
        from shared.publishing.blocks import best_first

        baselines = (self.summary or {}).get("baselines") or {}
        known = {name: metrics.get(self.pipeline.headline) or {} for name, metrics in baselines.items()}
        values = {name: metric.get("value") for name, metric in known.items()}
        ranked = best_first(values, self.headline.get("higher_is_better"))
        return (ranked[0], known[ranked[0]]) if ranked else ("", {})

    @property
    def verdict(self) -> str:
        """The verdict of the run, or the reason of the failure."""
        return self.error if self.summary is None else self.summary.get("verdict") or ""


def overview(outcomes: Sequence[Outcome]) -> Table:
    """The last table of `run --all`: one row per pipeline, failed ones with their reason."""
    rows = []
    for outcome in outcomes:
        name, best = outcome.best_baseline
        failed = outcome.summary is None
        metric = outcome.pipeline.headline.removeprefix("test/")
        rows.append(
            (
                outcome.pipeline.name,
                "failed" if failed else f"{metric} {interval(outcome.headline)}",
                f"{name.replace('_', ' ')} {number(best['value'])}" if best else NO_NUMBER,
                outcome.verdict,
                number(round(outcome.seconds)),
            )
        )
    columns = ("pipeline", "headline on the test part", "best baseline", "verdict", "seconds")
    return table(columns, rows, right=("seconds",), whole=("pipeline",))
