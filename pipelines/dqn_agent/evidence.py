"""Everything that a run measured, and the summary made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig
from shared.publishing.summary import ExplanationSummary, RunSummary, TrainingSummary, headlines_first

QUESTION = (
    "Can a learned policy beat our rule of thumb in this environment, how surely, and why does it act as "
    "it does?"
)
METRICS = {
    "test/return_iqm": "Return, interquartile mean",
    "test/return_mean": "Return, mean",
    "test/success_rate": "Successful episodes",
    "test/length_mean": "Steps of an episode",
}
KEPT = {
    "best": "Of each seed the network is kept that was best on development episodes while it learnt.",
    "last": "Of each seed the network is kept with which learning ended.",
}
HEADLINES = tuple(name.removeprefix("test/") for name in METRICS)
LIMITS = (
    "Everything here was learnt and judged in the environment as it is simulated. What the simulation leaves out, the "
    "policy has never met, and a policy finds every mistake of a simulation that pays.",
    "A policy is as good as the reward says, not as good as somebody meant: read what each cost term became.",
    "Seeds of the same settings end with policies that differ. The spread between them is part of the result, and the "
    "one that is served was chosen on development episodes.",
    "Values of actions are estimates that tend to be too high. Their differences decide; their level is no forecast.",
    "Outside of the states that it visited, a policy decides as surely as inside, and nobody knows how well.",
    "An episode that the horizon cut says nothing of what would have followed.",
    "Explanations show which features moved this network's choice, not what would happen if one were changed.",
)
OUT_OF_SCOPE = (
    "Acting without supervision on machines, stock or people. Let it propose beside the rule first, and compare.",
    "Another environment, other parameters or another horizon than those of its card: train it there.",
    "Decisions for which nobody can say what a mistake costs: the reward would be an invention.",
)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceDocuments:
    """Everything that was measured, as plain values, with the tables behind it.

    evaluation: see `evaluate.evaluation_document`; its `ablation` is there with `config.ablation` alone. explanation,
    explained: document and table of `explain.explain_visited`. training: `Learnt.record`. curves: seed, steps,
    return_mean, of development episodes.

    episodes: test episodes in the columns of `agent_episodes` without stamps, and network_seed: of the network that
    played, null for rules. Rows of a policy are in the order of its episodes, which are the same worlds for all.

    timeline: one episode more of the served network, and of every rule in the same world, a row for each step of the
    first `explanation.film_steps`: policy (network, or the rule), step (from 0), observation (list of features, empty
    for frames), action (number), reward, costs (list, in the order of the card) and, for the network, values (list, by
    action, in the unit of the reward; null for rules). film: the network's part as an animated PNG; None where the
    environment draws nothing.
    """

    card: Card
    evaluation: Mapping[str, Any]
    explanation: Mapping[str, Any]
    training: Mapping[str, Any]
    curves: pl.DataFrame
    episodes: pl.DataFrame
    explained: pl.DataFrame
    timeline: pl.DataFrame
    film: bytes | None
    notes: Sequence[str]

    @property
    def served_seed(self) -> int:
        """Of the network that is served."""
        (seed,) = (one["seed"] for one in self.evaluation["seeds"] if one["selected"])
        return int(seed)


def first_summary(
    source: str, contract: str, rows: dict[str, int], evidence: EvidenceDocuments, config: AgentConfig
) -> RunSummary:
    """The summary before the model is published: `metrics` are of the networks of all seeds, `baselines` of rules."""
    evaluation = evidence.evaluation
    return RunSummary(
        pipeline="dqn_agent",
        preset=config.preset,
        source=source,
        contract=contract,
        rows=rows,
        metrics=headlines_first(evaluation["metrics"], HEADLINES),
        baselines={
            rule: headlines_first(metrics, HEADLINES) for rule, metrics in evaluation["baselines"].items()
        },
        verdict=evaluation["verdict"]["sentence"],
        explanation=ExplanationSummary.out_of(evidence.explanation["attribution"]),
        training=TrainingSummary(
            device=evidence.training["device"],
            samples_per_second=evidence.training["steps_per_second"],
            seconds=evidence.training["seconds"],
        ),
    )
