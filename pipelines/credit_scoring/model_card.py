"""The model card of a run."""

from pipelines.credit_scoring.evidence import LIMITS, QUESTION, TITLES, EvidenceDocuments
from pipelines.credit_scoring.report import group_table
from pipelines.credit_scoring.report_explanation import checks_text, stability_text
from pipelines.credit_scoring.score import Scorer
from shared.publishing.blocks import Table
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    document = evidence.explanation
    protected = ", ".join(column.title for column in scorer.schema.protected) or "none given"
    fairness: list[str | Table] = [group_table(audit) for audit in evidence.evaluation["fairness"]]
    explanation: list[str | Table] = [checks_text(document["attribution"], document)]
    if document["stability"]:
        explanation.append(stability_text(document["stability"]))
    return model_card(
        CardFacts(
            title="Credit scoring: probability of default",
            question=QUESTION,
            details={
                "Kind": scorer.config.model.kind,
                "Members": scorer.config.model.num_members,
                "Inputs": len(scorer.schema.features),
            },
            intended_use=[
                "Estimating the probability of default of applicants like those in the training table, with "
                "reasons, for a lender's decision that a person can review."
            ],
            out_of_scope=[
                "Fully automatic refusal without a person to turn to.",
                "Applicants of another product, market or period than the training table.",
                "Any purpose other than credit, such as insurance, employment or housing.",
            ],
            factors=[f"Protected attributes audited: {protected}. None is an input."],
            split=[f"Split {evidence.split}."],
            calibration=[f"{evidence.calibration_reason}."],
            fairness=fairness,
            explanation=explanation,
            limits=list(LIMITS),
        ),
        summary,
        TITLES,
    )
