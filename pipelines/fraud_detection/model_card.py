"""The model card of a run."""

from pipelines.fraud_detection.evaluate import TITLES
from pipelines.fraud_detection.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.fraud_detection.report_explanation import checks_text
from pipelines.fraud_detection.score import Scorer
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    model, explanation = scorer.config.model, evidence.explanation
    return model_card(
        CardFacts(
            title="Fraud detection: which transactions to look at",
            question=QUESTION,
            details={
                "Served": TITLES[evidence.evaluation["served"]],
                "Autoencoder": model.kind,
                "Members": model.num_members,
                "Code": model.code_size,
                "Features": len(scorer.scaling.names),
            },
            intended_use=[
                "Ordering the card transactions of a day for analysts who look at the most suspicious ones and decide."
            ],
            out_of_scope=OUT_OF_SCOPE,
            factors=[
                "Age, sex, origin and other protected attributes of customers are not asked for and not audited. "
                "Amounts, times of day and terminals can stand in for them."
            ],
            training_data=[*evidence.notes, *evidence.warnings],
            evaluation_data=[
                "Values are means over the folds; a week that several folds use counts in each."
            ],
            split=[evidence.split],
            calibration=[f"{evidence.training[-1]['calibration']}."],
            explanation=[explanation["attribution"]["warning"] or checks_text(explanation)],
            ethical_considerations=[
                "Alerts that turn out wrong burden customers who did nothing. Watch the share of confirmed alerts, by "
                "groups of customers where that is lawful, and let a person decide."
            ],
            limits=list(LIMITS),
            model_titles=TITLES,
        ),
        summary,
        METRICS,
    )
