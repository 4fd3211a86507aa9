"""The model card of a run."""

from collections.abc import Iterator

from pipelines.dqn_agent.evidence import KEPT, LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.dqn_agent.score import Scorer
from shared.publishing.blocks import Value
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="Agent: what to do next in an environment",
            question=QUESTION,
            details=_details(scorer, evidence),
            intended_use=[
                "Proposing the next action to a planner, beside what the rule of thumb proposes, with the reasons.",
                "Finding out in a simulation whether a learnt policy is worth more than a rule, before it is used.",
            ],
            out_of_scope=OUT_OF_SCOPE,
            training_data=list(_training(scorer, evidence)),
            evaluation_data=list(_evaluation(scorer, evidence)),
            split=[
                "Learning, choosing the served seed, fitting rules and testing begin worlds with seeds of their own."
            ],
            explanation=[evidence.explanation["attribution"]["warning"] or ""],
            ethical_considerations=[
                "The reward says whose costs count. Who bears a cost that is not in it was not asked.",
            ],
            limits=list(LIMITS),
        ),
        summary,
        METRICS,
    )


def _details(scorer: Scorer, evidence: EvidenceDocuments) -> dict[str, Value]:
    card, network = scorer.card, scorer.config.network
    switches = {
        "double": scorer.config.learning.double,
        "dueling": network.dueling,
        f"{scorer.config.learning.num_steps}-step returns": scorer.config.learning.num_steps > 1,
        "prioritised replay": scorer.config.learning.priority_power > 0,
        "noisy layers": network.noisy,
        f"distribution of returns ({network.distribution})": network.distribution != "mean",
    }
    return {
        "Environment": card.id,
        "Sees": "frames" if card.image else f"{len(card.observation)} features",
        "Actions": ", ".join(card.actions),
        "Reward": "no unit" if card.reward_unit == "1" else card.reward_unit,
        "Agent": "DQN: " + (", ".join(name for name, on in switches.items() if on) or "no switch on"),
        "Parameters": sum(value.numel() for value in scorer.network.parameters()),
        "Served seed": evidence.served_seed,
    }


def _training(scorer: Scorer, evidence: EvidenceDocuments) -> Iterator[str]:
    config = scorer.config
    yield (
        f"{config.num_seeds} networks, each in environments of its own for {config.learning.steps:,} steps, "
        f"{evidence.training['updates']:,} updates each."
    )
    yield from evidence.notes


def _evaluation(scorer: Scorer, evidence: EvidenceDocuments) -> Iterator[str]:
    config = scorer.config.evaluation
    yield (
        f"{config.num_episodes} episodes of each network and of each rule, greedily, in the same worlds. Results are "
        f"of all {scorer.config.num_seeds} networks; intervals draw networks and episodes anew."
    )
    (served,) = (one for one in evidence.evaluation["seeds"] if one["selected"])
    yield (
        f"{KEPT[config.kept]} Served is seed {served['seed']}, the best on {config.num_selection_episodes} development "
        f"episodes; its mean return in the test is {served['return_mean']['value']:.4g}."
    )

    yield from (f"Rule {name}: {text}" for name, text in evidence.evaluation["descriptions"].items())
