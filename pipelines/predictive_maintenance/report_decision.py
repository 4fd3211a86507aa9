"""The part of the report about use: what servicing by forecast would have cost, beside what planners do without."""

from collections.abc import Mapping
from typing import Any

from pipelines.predictive_maintenance.evidence import EvidenceDocuments
from pipelines.predictive_maintenance.policy import TITLES
from pipelines.predictive_maintenance.report_data import words_of
from pipelines.predictive_maintenance.wording import Words
from shared.publishing.blocks import Block, Column, Figure, Paragraph, Section, Table, Value, show
from shared.publishing.run_figures import metric_forest


def decision_section(evidence: EvidenceDocuments) -> Section:
    """When to service: the threshold in words, and all policies played on the same recorded lives."""
    found, unit = evidence.evaluation["policies"], evidence.fleet["time_unit"]
    policies = {title: found["policies"][name] for name, title in TITLES.items()}
    rates = {title: _thousandfold(policy["cost_rate"], unit) for title, policy in policies.items()}
    figure = Figure(
        metric_forest({"Cost": rates}),
        "Cost of operation, 95 % intervals over machines; the band is that of the forecast.",
        f"Forest plot of the cost of {', '.join(policies)}; the values are in the table below.",
        wide=True,
    )
    blocks: list[Block] = [
        Paragraph(_threshold_text(found, words_of(evidence))),
        figure,
        _policy_table(policies, found, unit),
        Paragraph(_savings_text(policies)),
    ]
    return Section("When to service", blocks)


def _threshold_text(found: Mapping[str, Any], words: Words) -> str:
    costs, decision = found["costs"], found["decision"]
    return (
        f"A failure is taken to cost {show(costs['cost_failure'])}, a planned service {show(costs['cost_service'])}; "
        f"a service comes {show(costs['lead_time'])} {words.time_unit} after its order. At these costs it is cheapest "
        f"to order it as soon as the forecast says {words.time(decision['threshold'])} or less (“service now”); up to "
        f"{words.time(decision['plan_by'])} it is planned. Without a forecast, a service every "
        f"{words.time(found['fixed_interval'])} would be the cheapest fixed interval."
    )


def _policy_table(policies: Mapping[str, Any], found: Mapping[str, Any], unit: str) -> Table:
    columns: list[Column | str] = [
        "Policy",
        Column("Failures", number=True),
        Column("Services", number=True),
        Column(f"Mean time in operation\n{unit}", number=True, digits=1),
    ]
    rows: list[list[Value]] = [
        [title, *(policy[name] for name in ("failures", "services", "mean_time"))]
        for title, policy in policies.items()
    ]
    note = (
        f"Played on {found['lives']} recorded lives of the training machines, {found['failed_lives']} of which ended "
        "in a failure; each life by a network that had not seen it, with a threshold or an interval from the other "
        "folds. Perfect foresight services at the very moment before each failure: no policy can cost less. A machine "
        "that was still running when its record ended adds its time."
    )
    return Table(columns, rows, "What becomes of the machines", [note], emphasis=(0,))


def _savings_text(policies: Mapping[str, Any]) -> str:
    rate = {title: policy["cost_rate"]["value"] for title, policy in policies.items()}
    mine, cheapest = rate[TITLES["forecast"]], rate[TITLES["perfect"]]
    parts = []
    for name, what in {
        "fixed_interval": "at a fixed interval",
        "run_to_failure": "running to failure",
    }.items():
        other = rate[TITLES[name]]
        if other and mine is not None:
            words = "less" if mine <= other else "more"
            parts.append(f"{abs(1 - mine / other):.0%} {words} than {what}")
    text = f"Servicing by forecast would have cost {' and '.join(parts)}." if parts else ""
    if cheapest and mine is not None:
        text += f" It costs {mine / cheapest:.2f} times what perfect foresight would."
    return text


def _thousandfold(metric: Mapping[str, Any], unit: str) -> dict[str, Any]:
    ends = {name: None if metric[name] is None else 1000 * metric[name] for name in ("value", "low", "high")}
    return {**metric, **ends, "unit": f"for 1,000 {unit}"}
