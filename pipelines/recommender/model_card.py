"""The model card of a run."""

from pipelines.recommender.evidence import LIMITS, QUESTION, TITLES, EvidenceDocuments
from pipelines.recommender.rankers import TITLES as MODEL_TITLES
from pipelines.recommender.report_explanation import checks_text, truth_text
from pipelines.recommender.report_lists import activity_table, fold_in_text
from pipelines.recommender.report_models import by_result
from pipelines.recommender.score import Scorer
from shared.publishing.blocks import Table
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary

OUT_OF_SCOPE = (
    "Decisions that weigh on people, such as jobs, credit, housing or medical care.",
    "Users or items of another service or period than the training table.",
    "Claims about what a user likes: the model knows what users took, not why.",
    "Guessing at what a user has not told, such as health, belief or age, from what he took.",
)


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="Recommender: what to show each user next",
            question=QUESTION,
            details={
                "Served model": MODEL_TITLES[scorer.kind],
                "Users": len(scorer.catalogue.users),
                "Items with interactions": scorer.catalogue.num_warm,
                "Items known by attributes alone": len(scorer.catalogue.items) - scorer.catalogue.num_warm,
            },
            intended_use=[
                "Ordering the items of a catalogue for users whose past interactions are known, where what they took "
                "is a fair sign of what they want."
            ],
            out_of_scope=OUT_OF_SCOPE,
            factors=[
                "Results are given by how many items a user had before the test part. Age, sex and other protected "
                "attributes of users are not asked for and not audited."
            ],
            training_data=list(evidence.notes),
            evaluation_data=[
                f"{len(evidence.users):,} test users, for each of whom the whole catalogue is ranked."
            ],
            split=[evidence.split],
            calibration=["Scores order the items of one user. They are no probabilities."],
            fairness=[activity_table(evidence), fold_in_text(evidence)],
            explanation=_explanation(scorer, evidence),
            ethical_considerations=[
                "Recommending what was popular makes it more popular. Coverage, concentration and the share of the "
                "long tail are in the report; watch them from version to version."
            ],
            limits=list(LIMITS),
            model_titles={kind: MODEL_TITLES[kind] for kind in by_result(evidence)},
        ),
        summary,
        {name: title for name, title in TITLES.items() if name != "test/long_tail_share"},
    )


def _explanation(scorer: Scorer, evidence: EvidenceDocuments) -> list[str | Table]:
    document = evidence.explanation
    attribution = document["attribution"]
    if scorer.kind == "popularity":
        return ["The same order for everybody: no item of a history speaks for or against anything."]
    texts: list[str | Table] = [attribution["warning"] or checks_text(attribution)]
    if document["truth"]:
        texts.append(truth_text(document["truth"]))
    return texts
