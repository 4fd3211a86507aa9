"""The model card of a run."""

from pipelines.recommender.evidence import LIMITS, QUESTION, TITLES, EvidenceDocuments
from pipelines.recommender.rankers import TITLES as MODEL_TITLES
from pipelines.recommender.score import Scorer
from shared.publishing.environment import environment
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="Recommender: what to show each user next",
            question=QUESTION,
            details={
                "Served model": MODEL_TITLES[scorer.kind],
                "Users": len(scorer.catalogue.users),
                "Items": scorer.catalogue.num_warm,
            },
            intended_use=[
                "Ordering the items of a catalogue for users whose past interactions are known, where what they took "
                "is a fair sign of what they want."
            ],
            out_of_scope=[
                "Decisions that weigh on people, such as jobs, credit, housing or medical care.",
                "Users or items of another service or period than the training table.",
                "Claims about what a user likes: the model knows what users took, not why.",
            ],
            factors=["NDCG@20 by the number of items that a user had before is in the report."],
            split=[evidence.split],
            calibration=["Scores order the items of one user. They are no probabilities."],
            fairness=[],
            explanation=[f"{evidence.explanation['attribution']['method']}."],
            limits=list(LIMITS),
            environment=environment(),
            reproduce=f"fieldwork run recommender --preset {summary.preset} --data {summary.source}",
        ),
        summary,
        TITLES,
    )
