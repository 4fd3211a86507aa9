"""The parts of a report that every pipeline shares: results, data, training, run, gate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Figure,
    KeyValues,
    Kind,
    MetricCard,
    MetricCards,
    Paragraph,
    Section,
    Table,
    Value,
    best_first,
    direction,
    estimate,
    interval,
)
from shared.publishing.bundle import Manifest
from shared.publishing.run_figures import metric_forest, training_curves
from shared.publishing.summary import Metrics, MetricValue, RunSummary

if TYPE_CHECKING:
    import polars as pl

_SHOWN_QUARANTINED = 10


def results_section(
    summary: RunSummary,
    titles: Mapping[str, str],
    *,
    model_title: str = "This model",
    verdict_kind: Kind = "neutral",
    notes: Sequence[str] = (),
    others: str = "baseline",
    other_titles: Mapping[str, str] | None = None,
    num_drawn: int | None = None,
) -> Section:
    """Verdict, headline numbers, forest plot and the whole table against the baselines.

    `titles` gives the metrics to show, in order: {"test/roc_auc": "ROC AUC"}. The first four become cards, the first
    `num_drawn` are in the forest plot, all of them by default. Metrics without a title are only in the JSON.
    `other_titles` names the baselines, in the order in which they are shown; one without a title follows under its
    own name. `others` is what one of them is called.
    """
    named = titled(summary.baselines, other_titles or {})
    models: dict[str, Metrics] = {model_title: summary.metrics, **named}
    shown = {name: title for name, title in titles.items() if name in summary.metrics}
    blocks: list[Block] = [Callout(verdict_kind, summary.verdict, "Verdict")]
    if shown:
        cards = [_card(summary.metrics[name], name, title, named, others) for name, title in shown.items()]
        blocks += [
            MetricCards(cards[:4]),
            _forest(models, dict(list(shown.items())[:num_drawn])),
            results_table(models, shown, notes),
        ]
    return Section("Results", blocks)


def titled(models: Mapping[str, Metrics], titles: Mapping[str, str]) -> dict[str, Metrics]:
    """Metrics by the title of the model, in the order of `titles`; a model without a title follows as `readable`."""
    order = [name for name in titles if name in models] + [name for name in models if name not in titles]
    return {titles.get(name, readable(name)): models[name] for name in order}


def results_table(
    models: Mapping[str, Metrics], titles: Mapping[str, str], notes: Sequence[str] = ()
) -> Table:
    """One row per model, one column per metric, the interval below each value."""
    columns: list[Column | str] = [Column("Model")]
    for name, title in titles.items():
        metric = next(metrics[name] for metrics in models.values() if name in metrics)
        words = ", ".join(part for part in (metric.unit, direction(metric.model_dump())) if part)
        columns.append(Column(f"{title}\n{words}" if words else title, number=True))
    rows = [[model, *(_cell(metrics, name) for name in titles)] for model, metrics in models.items()]
    caption = "Every metric on the same rows, with 95 % intervals"
    return Table(columns, rows, caption, notes, emphasis=(0,))


def data_section(
    *,
    split: str,
    audit: Mapping[str, Any],
    notes: Sequence[str] = (),
    quarantine: "pl.DataFrame | None" = None,
) -> Section:
    """How the rows were divided, what the leak audit looked for and found, notes, the first rows in quarantine.

    `audit` is `AuditReport.to_json()`. `quarantine` has the columns `row_number` and `broken_rules`, as the contract
    check gives it.
    """
    found = " ".join(finding["message"] for finding in audit["findings"]) or "no leak found"
    looked_for = ", ".join(readable(check).lower() for check in audit["checks"])
    blocks: list[Block] = [KeyValues({"Split": split, "Leak audit": f"{found} (looked for: {looked_for})"})]
    blocks += _bullets(notes)
    if quarantine is not None:
        rows = quarantine.select("row_number", "broken_rules").head(_SHOWN_QUARANTINED).rows()
        blocks.append(Table([Column("Row", number=True), "Broken rules"], rows, "First rows in quarantine"))
    return Section("Data", blocks)


def training_section(
    training: Mapping[str, Any], *, kept: str, caption: str, validation: Sequence[str] = ("loss",)
) -> Section:
    """Epochs, device, precision and tier, with the curves of the training loss and of validation metrics.

    Epochs are counted from 1.

    `training` is `FitResult.to_json()`. `kept` says which epoch's weights were kept, `caption` what the curves show
    and in which unit, `validation` the names of the metrics in the history. Raises KeyError for a metric that is not
    there.
    """
    text = (
        f"{training['epochs']} epochs on {training['device']}, {training['precision']}, {training['tier']} "
        f"({training['tier_reason']}). {kept}"
    )
    columns = {"train/loss": "train_loss"} | {f"validation/{name}": name for name in validation}
    history = [
        {"epoch": row["epoch"] + 1} | {title: row[name] for title, name in columns.items()}
        for row in training["history"]
    ]
    curves = training_curves(history, best_epoch=training["best_epoch"] + 1)
    wide = any(name != "loss" for name in validation)
    return Section("Training", [Paragraph(text), Figure(curves, caption, "Training curves", wide=wide)])


def run_section(summary: RunSummary, manifest: Manifest | None = None) -> Section:
    """Data, training, seconds of each step, and what is needed to make the run again."""
    facts: dict[str, Value] = {f"Rows {name}": count for name, count in summary.rows.items()}
    blocks: list[Block] = [KeyValues(facts)]
    if summary.training is not None:
        training = summary.training
        speed = training.samples_per_second
        epochs: dict[str, Value] = {} if training.epochs is None else {"Epochs": training.epochs}
        blocks.append(
            KeyValues(
                {
                    "Device": training.device,
                    **epochs,
                    "Training seconds": training.seconds,
                    "Samples per second": None if speed is None else round(speed),
                }
            )
        )
    if summary.seconds:
        rows = [[readable(name), seconds] for name, seconds in summary.seconds.items()]
        blocks.append(Table(["Step", Column("Seconds", number=True, digits=2)], rows, "Where the time went"))
    if manifest is not None:
        blocks.append(KeyValues(_origin(manifest)))
    return Section("Run", blocks)


def limits_section(limits: Sequence[str], out_of_scope: Sequence[str] = ()) -> Section:
    """What the numbers do not say, and what the model is not meant for."""
    blocks = _bullets(limits)
    if out_of_scope:
        blocks += [Paragraph("Not meant for:"), *_bullets(out_of_scope)]
    return Section("Limits and misuse", blocks)


def readable(name: str) -> str:
    """`logistic_regression` as `Logistic regression`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _bullets(items: Sequence[str]) -> list[Block]:
    return [Bullets(list(items))] if items else []


def _card(
    metric: MetricValue, name: str, title: str, models: Mapping[str, Metrics], others: str
) -> MetricCard:
    values = {model: metrics[name].value for model, metrics in models.items() if name in metrics}
    note = ""
    if ranked := best_first(values, metric.higher_is_better):
        note = f"Best {others}: {ranked[0]}, {estimate(models[ranked[0]][name].model_dump())}"
    return MetricCard(title, metric.model_dump(), note)


def _forest(models: Mapping[str, Metrics], titles: Mapping[str, str]) -> Figure:
    values = {
        title: {model: metrics[name].model_dump() for model, metrics in models.items() if name in metrics}
        for name, title in titles.items()
    }
    listed = ", ".join(titles.values())
    return Figure(
        metric_forest(values),
        "Points with 95 % intervals; the band is the interval of this model.",
        f"Forest plot of {listed} for {', '.join(models)}; the values are in the table below.",
        wide=True,
    )


def _cell(metrics: Metrics, name: str) -> str | None:
    if name not in metrics or metrics[name].value is None:
        return None
    between = interval(metrics[name].model_dump())
    return estimate(metrics[name].model_dump()) + (f"\n{between}" if between else "")


def _origin(manifest: Manifest) -> dict[str, Value]:
    digests = {"Input": manifest.input_digest, "Config": manifest.config_digest, "Code": manifest.code_digest}
    facts: dict[str, Value] = {"Contract": manifest.contract, "Seed": manifest.seed}
    facts |= {f"{name} SHA-256": digest[:16] for name, digest in digests.items()}
    return facts | dict(manifest.environment)
