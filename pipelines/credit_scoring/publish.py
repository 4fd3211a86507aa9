"""Into the registry, past the gate: a challenger replaces the champion only when it is shown not to be worse."""

from pydantic import BaseModel, ConfigDict

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.steps import PIPELINE, Fitted, Ingested, Parts, opened, restored_bundle
from pipelines.credit_scoring.train import outcomes
from shared.data.store import Ref, default_store
from shared.evaluation.compare import compare_auc
from shared.orchestration.run import current_run
from shared.orchestration.step import step
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Candidate, Check, decide
from shared.publishing.registry import Registry
from shared.publishing.summary import PublishedModel, RunSummary

# The largest loss of ROC-AUC that still counts as not worse; smaller differences have no effect on a portfolio.
MARGIN_ROC_AUC = 0.01


class Published(BaseModel):
    """What became of the model."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: int
    promoted: bool
    reasons: tuple[str, ...]
    bundle: str

    def complete(self, summary: RunSummary) -> RunSummary:
        """The run's summary with the model's place."""
        model = PublishedModel(
            name=PIPELINE, version=self.version, promoted=self.promoted, bundle=self.bundle
        )
        return summary.model_copy(
            update={"run_id": self.run_id, "model": model, "report": f"{self.bundle}/report.html"}
        )


@step(reuse=False)
def publish(ingested: Ingested, parts: Parts, fitted: Fitted, bundle: Ref, config: CreditConfig) -> Published:
    """Log the run, register its bundle, let the gate decide. A bundle that is registered already stays as it is."""
    registry = Registry()
    with restored_bundle(bundle) as folder:
        opened_bundle = Bundle.open(folder)
        digest = opened_bundle.digest
        known = next((found for found in registry.list(PIPELINE) if found.digest == digest), None)
        if known is None:
            summary = RunSummary.model_validate_json((folder / "summary.json").read_text())
            run_id = registry.log_run(
                PIPELINE, summary, config.model_dump(mode="json"), fitted.training["history"]
            )
            version = registry.register(PIPELINE, folder, run_id)
            promoted, reasons = _pass_gate(registry, version, ingested, parts, fitted, opened_bundle)
        else:
            run_id, version = known.run_id, known.version
            promoted = "champion" in known.aliases
            reasons = ("This bundle was registered by an earlier run.",)
    place = registry.bundle(PIPELINE, version).folder
    current_run().say(
        f"  version {version}: {'promoted' if promoted else 'not promoted'}. {' '.join(reasons)}"
    )
    return Published(run_id=run_id, version=version, promoted=promoted, reasons=reasons, bundle=str(place))


def _pass_gate(
    registry: Registry, version: int, ingested: Ingested, parts: Parts, fitted: Fitted, bundle: Bundle
) -> tuple[bool, tuple[str, ...]]:
    champion = registry.champion(PIPELINE)
    current = registry.bundle(PIPELINE, champion.version) if champion else None
    challenger = _candidate(bundle, version)
    comparison = None
    if champion and current and current.manifest.contract_digest == ingested.contract_digest:
        test = default_store().frame(parts.test)
        with opened(fitted.scorer) as scorer:
            comparison = compare_auc(
                outcomes(test),
                scorer.probability(test),
                Scorer.from_bundle(current, str(champion.version)).probability(test),
            ).to_json() | {"metric": "ROC-AUC"}
    before = _candidate(current, champion.version) if champion and current else None
    decision = decide(challenger, before, comparison, margin=MARGIN_ROC_AUC)
    promoted = registry.record(PIPELINE, version, decision, against=champion.version if champion else None)
    return promoted, decision.reasons


def _candidate(bundle: Bundle, version: int) -> Candidate:
    facts = bundle.manifest
    explanation = bundle.metrics["explanation"]["attribution"]
    return Candidate(
        contract=facts.contract,
        contract_digest=facts.contract_digest,
        table=facts.source,
        generated=facts.source == "synthetic",
        version=version,
        checks={
            "explanation_faithful": Check(explanation["faithful"], explanation["warning"] or ""),
            # a run with a leak between its parts ends before it has a bundle
            "leak_audit_clean": Check(True),
        },
    )
