"""The model card: what a model is for, how it was made and measured, and where it must not be used.

Markdown with the sections of Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).
A section without content is left out: an empty heading looks like an answer.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.publishing.blocks import Table, Value, direction, estimate, interval, show
from shared.publishing.environment import environment
from shared.publishing.standard import results_table, titled
from shared.publishing.summary import Metrics, RunSummary

# More baselines than this beside each other are no readable table: they get one of their own, a row for each.
_MAX_BASELINES_BESIDE = 4
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says beyond the numbers of the run. Texts are plain sentences, one statement each."""

    title: str
    question: str = field(metadata={"help": "the question the model answers, and for whom"})
    details: Mapping[str, Value] = field(default_factory=dict)
    intended_use: Sequence[str] = ()
    out_of_scope: Sequence[str] = ()
    factors: Sequence[str] = ()
    training_data: Sequence[str] = ()
    evaluation_data: Sequence[str] = ()
    split: Sequence[str] = ()
    calibration: Sequence[str | Table] = ()
    fairness: Sequence[str | Table] = ()
    explanation: Sequence[str | Table] = ()
    ethical_considerations: Sequence[str] = ()
    limits: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=environment)
    reproduce: str = field(
        default="", metadata={"help": "a command; without one the run's, from its summary"}
    )
    model_titles: Mapping[str, str] = field(default_factory=dict)


def model_card(facts: CardFacts, summary: RunSummary, titles: Mapping[str, str] | None = None) -> str:
    """Write the card of one run as Markdown; `titles` names the metrics to show, all of them by default.

    Text from outside (column names, groups, paths) is escaped, so it cannot become markup.
    """
    parts = [f"# {_text(facts.title)}", _text(facts.question)]
    parts += _section("Model details", [_pairs({**_run_details(summary), **facts.details})])
    use = _statements("Intended use", facts.intended_use, 3) + _statements(
        "Out of scope", facts.out_of_scope, 3
    )
    parts += _section("Intended use", use, show_heading="## Use")
    parts += _statements("Factors", facts.factors)
    parts += _section(
        "Metrics", _metrics(summary, titles or {name: name for name in summary.metrics}, facts.model_titles)
    )
    parts += _section("Verdict", [_text(summary.verdict)])
    parts += _statements("Training data", [*facts.training_data, *_rows(summary)])
    parts += _statements("Evaluation data", [*facts.evaluation_data, *facts.split])
    parts += _section("Calibration", _mixed(facts.calibration))
    parts += _section("Results by group", _mixed(facts.fairness))
    parts += _section("Explanations", [*_explanation(summary), *_mixed(facts.explanation)])
    parts += _statements("Ethical considerations", facts.ethical_considerations)
    parts += _statements("Caveats and recommendations", facts.limits)
    parts += _section("Environment", [_pairs(facts.environment)])
    parts += _section("How to reproduce", [_code(facts.reproduce or _command(summary))])
    return "\n\n".join(part for part in parts if part) + "\n"


def _command(summary: RunSummary) -> str:
    return f"fieldwork run {summary.pipeline} --preset {summary.preset} --data {summary.source}"


def _section(title: str, content: Sequence[str], *, show_heading: str = "") -> list[str]:
    filled = [part for part in content if part.strip()]
    return [show_heading or f"## {title}", *filled] if filled else []


def _statements(title: str, items: Sequence[str], level: int = 2) -> list[str]:
    lines = [f"- {_text(item)}" for item in items if item.strip()]
    return [f"{'#' * level} {title}", "\n".join(lines)] if lines else []


def _mixed(items: Sequence[str | Table]) -> list[str]:
    return [_table(item) if isinstance(item, Table) else _text(item) for item in items]


def _run_details(summary: RunSummary) -> dict[str, Value]:
    details: dict[str, Value] = {
        "Pipeline": summary.pipeline,
        "Data": summary.source,
        "Preset": summary.preset,
    }
    details["Input contract"] = summary.contract
    if summary.model is not None and summary.model.version is not None:
        details["Version"] = summary.model.version
    if summary.training is not None:
        epochs = summary.training.epochs
        details["Trained on"] = summary.training.device + ("" if epochs is None else f", {epochs} epochs")
    return details


def _rows(summary: RunSummary) -> list[str]:
    counts = ", ".join(f"{show(count)} {name}" for name, count in summary.rows.items())
    return [f"Rows: {counts}."] if counts else []


def _explanation(summary: RunSummary) -> list[str]:
    found = summary.explanation
    if found is None:
        return []
    state = {
        True: "passed the faithfulness check",
        False: "did NOT pass the faithfulness check: do not base decisions on it",
        None: "could not be checked for faithfulness",
    }[found.faithful]
    error = found.completeness_error
    gap = "" if error is None else f" Largest completeness error: {show(error)}."
    return [_text(f"Method: {found.method}. It {state}.{gap}")]


def _metrics(summary: RunSummary, titles: Mapping[str, str], model_titles: Mapping[str, str]) -> list[str]:
    """The metrics of the model beside those of the baselines, or in a table before theirs."""
    shown = {name: title for name, title in titles.items() if name in summary.metrics}
    models = titled(summary.baselines, model_titles)
    if not shown or len(models) <= _MAX_BASELINES_BESIDE:
        return [_metrics_table(summary, shown, models)]
    others = {
        name: title for name, title in shown.items() if any(name in metrics for metrics in models.values())
    }
    return [
        _metrics_table(summary, shown, {}),
        _table(
            dataclasses.replace(results_table(models, others), caption="Other models, with 95 % intervals")
        ),
    ]


def _metrics_table(summary: RunSummary, titles: Mapping[str, str], baselines: Mapping[str, Metrics]) -> str:
    if not titles:
        return ""
    rows: list[list[Value]] = []
    for name, title in titles.items():
        metric = summary.metrics[name]
        words = ", ".join(part for part in (metric.unit, direction(metric.model_dump())) if part)
        values: list[Value] = [f"{title} ({words})" if words else title, estimate(metric.model_dump())]
        values += [interval(metric.model_dump()) or None, metric.n]
        values += [_value_of(metrics, name) for metrics in baselines.values()]
        rows.append(values)
    return _table(Table(["Metric", "Value", "95 % interval", "n", *baselines], rows))


def _value_of(metrics: Metrics, name: str) -> str | None:
    metric = metrics.get(name)
    if metric is None or metric.value is None:
        return None
    between = interval(metric.model_dump())
    return estimate(metric.model_dump()) + (f" ({between})" if between else "")


def _table(table: Table) -> str:
    heads = table.heads()
    lines = [f"**{_text(table.caption)}**\n"] if table.caption else []
    titles = [f"{head.title} ({head.unit})" if head.unit else head.title for head in heads]
    lines.append(_line([_inline(title) for title in titles]))
    lines.append("|" + "|".join("---:" if head.number else "---" for head in heads) + "|")
    lines += [_line([_inline(cell) for cell in row]) for row in table.cells()]
    lines += [f"\n{_text(note)}" for note in table.notes]
    return "\n".join(lines)


def _inline(cell: str) -> str:
    """What a page shows small below a text stands in brackets behind it: Markdown has no lines within a cell."""
    above, found, below = cell.partition("\n")
    return f"{above} ({below})" if found and below else above


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _pairs(values: Mapping[str, Value]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(show(value))}" for name, value in values.items())


def _code(text: str) -> str:
    """An indented block: unlike a fence, nothing in the text can end it."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
