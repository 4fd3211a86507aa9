"""The model card of a run."""

from pipelines.predictive_maintenance.evaluate import NETWORK, TITLES
from pipelines.predictive_maintenance.evidence import (
    LIMITS,
    METRICS,
    OUT_OF_SCOPE,
    QUESTION,
    EvidenceDocuments,
)
from pipelines.predictive_maintenance.score import Scorer
from shared.publishing.blocks import Value
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="Predictive maintenance: when machines will fail",
            question=QUESTION,
            details=_details(scorer, evidence),
            intended_use=[
                "Ordering the machines of a fleet for those who plan maintenance, and proposing when to service them."
            ],
            out_of_scope=OUT_OF_SCOPE,
            training_data=[*evidence.notes, *evidence.warnings],
            evaluation_data=["Each test machine is forecast once; no reading of it was seen in training."],
            split=[evidence.split],
            calibration=_calibration(scorer),
            explanation=[evidence.explanation["attribution"]["warning"] or ""],
            ethical_considerations=[
                "Where people depend on a machine, a missed failure can hurt them: the cost of a failure must say so, "
                "and no forecast replaces inspections that law or manufacturer ask for."
            ],
            limits=list(LIMITS),
            model_titles=TITLES,
        ),
        summary,
        METRICS,
    )


def _details(scorer: Scorer, evidence: EvidenceDocuments) -> dict[str, Value]:
    served, unit = evidence.evaluation["served"], scorer.schema.time_unit
    details: dict[str, Value] = {
        "Served": TITLES[served],
        "Channels": len(scorer.preparation.scaling.names),
        "Window": f"{scorer.config.features.window_length} readings",
    }
    if served == NETWORK:
        details["Networks"] = scorer.config.model.num_members
        details["Forecast up to"] = f"{scorer.scale.cap:g} {unit}"
        details["Horizon of failing"] = f"{scorer.scale.horizon:g} {unit}"
    return details


def _calibration(scorer: Scorer) -> list[str]:
    if scorer.forecaster is None:
        assert scorer.alarm is not None
        return [
            f"The alarm leaves {scorer.alarm.quiet_share:.0%} of the windows of healthy machines quiet; fixed on "
            f"{scorer.alarm.num_machines} machines that the autoencoder has not seen."
        ]
    calibrated = scorer.forecaster.calibrated
    return [
        f"Intervals shall hold {calibrated.coverage:.0%} of the remaining lives: conformal, fixed on machines that the "
        "network had not seen, apart for forecasts near, on the way to and far from failure.",
        f"Probability of failing: {calibrated.reason}.",
    ]
