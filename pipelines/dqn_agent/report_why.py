"""The parts of the report about explanations: why the policy acts so, and how far the reasons can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.dqn_agent.evidence import EvidenceDocuments
from pipelines.dqn_agent.explain import CLEAR
from pipelines.dqn_agent.figures_maps import frames_figure
from pipelines.dqn_agent.wording import (
    amount,
    decision_sentence,
    decision_title,
    signed,
    unit_of,
    with_unit,
    words,
)
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    Kind,
    Paragraph,
    Section,
    Table,
    Value,
    show,
)
from shared.publishing.explanation_figures import beeswarm, importance_bars, waterfall

_NUM_STRONGEST = 3
_FEWEST_STATES = 5
_ROUNDING = 1e-3


def why_section(evidence: EvidenceDocuments) -> Section:
    """What speaks for which action over all explained states, and single decisions."""
    document, card = evidence.explanation, evidence.card
    title = "Why it acts as it does"
    if not card.observation:
        return Section(title, [Paragraph(_FRAMES), _frames(document)])
    unit = unit_of(card)
    names = [feature.name for feature in card.observation]
    shown = [words(name) for name in names]
    values, contributions, towards = (
        evidence.explained[column].to_numpy().reshape(-1, len(names))
        for column in ("value", "contribution", "towards")
    )
    contrast = document["contrast"]
    blocks: list[Block] = [
        Paragraph(_how_to_read(document, unit)),
        Figure(
            beeswarm(shown, towards, values, unit=unit),
            f"What speaks for {contrast['action']} (right) or for {contrast['other']} (left), whichever was taken: one "
            f"dot for each of {len(values):,} visited states.",
            f"Contributions of each feature to {contrast['action']} over {contrast['other']}",
        ),
        Figure(
            importance_bars(shown, contributions, unit=unit),
            "How much each feature moves the advantage of the action taken over the next best one, whichever they are.",
            "Mean absolute contribution of each feature",
        ),
        _by_action_table(document["by_action"], unit),
        Details("Single decisions", [_decision(example, unit) for example in document["examples"]]),
    ]
    return Section(title, blocks)


def trust_section(evidence: EvidenceDocuments) -> Section:
    """Checks of the explanations, and on our own simulators the truth."""
    document, unit = evidence.explanation, unit_of(evidence.card)
    attribution = document["attribution"]
    kind: Kind = "good" if attribution["faithful"] else "warning"
    said = attribution["warning"] or _outcome(attribution)
    blocks: list[Block] = [Callout(kind, said, "How far the reasons hold"), Bullets(_facts(document, unit))]
    if document["truth"]:
        blocks += [Paragraph(_TRUTH), Bullets(_truth_facts(document["truth"], unit))]
    return Section("How far the reasons can be trusted", blocks)


_FRAMES = (
    "Orange marks where the last convolution saw evidence for the action taken and against the next best one "
    "(Grad-CAM), on the newest of the frames that the network sees; all pictures share one scale. A map says where, "
    "not what or why, and what does not light up may still matter."
)
_TRUTH = (
    "In our own simulator it can be tried out what an action leads to: a world is copied, both actions are taken in "
    "it, and the policy goes on from there on the same luck."
)


def _how_to_read(document: Mapping[str, Any], unit: str) -> str:
    attribution = document["attribution"]
    return (
        f"Explained is the {attribution['target']}{f', {unit}' if unit else ''}. Contributions of the features sum to "
        f"how far it lies from its {attribution['baseline']} for the same two actions. Positive speaks for the action "
        "taken, negative for the other one."
    )


def _frames(document: Mapping[str, Any]) -> Figure:
    caption = "Decisions of the served network in test episodes; what speaks against an action is not drawn."
    return Figure(frames_figure(document["examples"]), caption, "Evidence in frames", wide=True)


def _by_action_table(found: Sequence[Mapping[str, Any]], unit: str) -> Table:
    rows: list[list[Value]] = []
    for one in (one for one in found if one["states"] >= _FEWEST_STATES):
        order = sorted(one["contributions"], key=lambda name: -abs(one["contributions"][name]))
        texts = [f"{words(name)}\n{signed(one['contributions'][name])}" for name in order[:_NUM_STRONGEST]]
        rows.append([one["action"], one["states"], *texts, *[None] * (_NUM_STRONGEST - len(texts))])
    columns: list[Column | str] = ["Action taken", Column("States\nexplained", number=True)]
    columns += [("Strongest", "Second", "Third")[number] for number in range(_NUM_STRONGEST)]
    note = (
        f"Mean contribution{f' in {unit}' if unit else ''} over the explained states in which the action was taken; of "
        "every action as many states, as far as it was taken so often; actions taken in fewer than "
        f"{_FEWEST_STATES} are left out."
    )
    return Table(columns, rows, "What speaks for or against the action that is taken", [note])


def _decision(example: Mapping[str, Any], unit: str) -> Figure:
    features = example["features"]
    title = decision_title(example)
    kind = "a clear decision" if example["kind"] == CLEAR else "a close one"
    drawn = waterfall(
        [words(one["name"]) for one in features],
        np.array([one["contribution"] for one in features]),
        base_value=example["base"],
        unit=with_unit("advantage", unit),
        values=[amount(one["value"], one["unit"]) for one in features],
    )
    return Figure(drawn, f"{title}, {kind}. {decision_sentence(example, unit)}", title)


def _outcome(attribution: Mapping[str, Any]) -> str:
    if attribution["faithful"] is None:
        return "Not checked: there is a single feature, or hardly a state was visited."
    return (
        "Where the strongest reasons are taken away decisions change more than where random ones are, and networks of "
        "random weights are explained otherwise."
    )


def _facts(document: Mapping[str, Any], unit: str) -> list[str]:
    attribution, faithfulness = document["attribution"], document["attribution"]["faithfulness"]
    facts = [f"Method: {attribution['method']}. Compared with the {attribution['baseline']}."]
    rounding = _ROUNDING * sum(attribution.get("importance", {}).values())
    if attribution["completeness_error"] is not None and attribution["completeness_error"] < rounding:
        facts.append("Complete: contributions sum to the advantage, up to rounding.")
    elif attribution["completeness_error"] is not None:
        facts.append(
            f"Complete: contributions miss the advantage by {amount(attribution['completeness_mean'], unit)} on "
            f"average, by {amount(attribution['completeness_error'], unit)} at most."
        )
    if faithfulness is not None:
        for name, text in (
            (
                "deletion_gain",
                "Strongest reasons taken away first: the advantage falls below that of a random order by",
            ),
            (
                "insertion_gain",
                "Strongest reasons kept longest: the advantage stays above that of a random order by",
            ),
        ):
            gain = faithfulness[name]
            between = f"{show(gain['low'], 3)} to {show(gain['high'], 3)}"
            facts.append(f"{text} {amount(gain['value'], unit, 3)} ({between}; {gain['n']:,} states).")
        if faithfulness["randomisation_spearman"] is not None:
            facts.append(
                "Rank correlation with explanations of networks of random weights: "
                f"{signed(faithfulness['randomisation_spearman'])}; near 0 is good."
            )
    other = document["agreement"]
    if other:
        facts.append(
            f"A second method, {other['method']}, orders the features alike with a rank correlation of "
            f"{_interval(other | {'value': other['spearman']})} and names the same one first in "
            f"{show(100 * other['same_first'], 0)} % of {other['states']} states."
        )
    return facts


def _truth_facts(truth: Mapping[str, Any], unit: str) -> list[str]:
    action, other = truth["pair"]
    found = truth["advantage"]
    facts = [
        f"Advantage of {action} over {other} in {found['states']} states: rank correlation of what the network says "
        f"with what was tried out {_interval(found['spearman'])}. On average the network says "
        f"{amount(found['mean_said'], unit)}, tried out it is {amount(found['mean_tried'], unit)}."
    ]
    if found["same_sign"] is not None:
        facts.append(
            f"Of the {found['clear']} states in which one of the two is clearly better, the network prefers it in a "
            f"share of {_interval(found['same_sign'])}."
        )
    changes, wear = truth["changes"], truth["wear"]
    if changes is not None:
        facts.append(
            f"Stock and deliveries changed in the world one by one ({changes['states']} states): rank correlation of "
            f"their contributions with what the tried-out advantage loses {_interval(changes['spearman'])}."
        )
    if wear is not None:
        by_feature = sorted(wear["features"].items(), key=lambda item: -abs(item[1]["value"]))
        texts = [f"{words(name)} {signed(one['value'])}" for name, one in by_feature]
        facts.append(
            f"Rank correlation of contributions with the wear, which the network never sees, over {wear['states']} "
            f"states: all together {_interval(wear['together'])}; {', '.join(texts)}."
        )
    return facts


def _interval(found: Mapping[str, Any]) -> str:
    return f"{show(found['value'], 2)} ({show(found['low'], 2)} to {show(found['high'], 2)})"
