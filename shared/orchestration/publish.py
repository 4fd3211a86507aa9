"""Into the registry, past the gate: a challenger replaces the champion only when it is shown not to be worse."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.data.store import Ref
from shared.errors import RequestError
from shared.orchestration.artifacts import show_summary
from shared.orchestration.run import current_run
from shared.orchestration.stored import SUMMARY, SYNTHETIC, Handle, read_summary, restored
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Candidate, Check, decide
from shared.publishing.registry import Registry
from shared.publishing.summary import PublishedModel, RunSummary
from shared.publishing.versions import CHAMPION

Checks = Callable[[Bundle], Mapping[str, Check]]
Compare = Callable[[Bundle, str], Mapping[str, Any] | None]


class Published(Handle):
    """What became of the model."""

    run_id: str
    version: int
    promoted: bool
    reasons: tuple[str, ...]
    bundle: str

    def complete(self, summary: RunSummary) -> RunSummary:
        """The run's summary with the model's place."""
        model = PublishedModel(
            name=summary.pipeline, version=self.version, promoted=self.promoted, bundle=self.bundle
        )
        return summary.model_copy(
            update={"run_id": self.run_id, "model": model, "report": f"{self.bundle}/report.html"}
        )


def completed(published: Published, bundle: Ref) -> RunSummary:
    """The summary of a run that has come to its end, which the Prefect UI shows too."""
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


def usual_checks(bundle: Bundle) -> dict[str, Check]:
    """What must hold for every model: explanations that pass their checks, and no leak between the parts."""
    explanation = bundle.metrics["explanation"]["attribution"]
    return {
        "explanation_faithful": Check(explanation["faithful"], explanation["warning"] or ""),
        # a run with a leak between its parts ends before it has a bundle
        "leak_audit_clean": Check(True),
    }


def publish_bundle(
    stored: Ref,
    *,
    history: Sequence[Mapping[str, Any]],
    compare: Compare,
    margin: float,
    checks: Checks = usual_checks,
) -> Published:
    """Log the run, register its bundle, let the gate decide. A bundle that is registered already stays as it is.

    The stored bundle holds `summary.json`; `history` has one mapping per epoch.
    `checks(bundle)` says what must hold for the model by itself, `gate.REQUIRED_CHECKS` among it.
    `compare(champion, version)` gives the paired difference challenger minus champion on the challenger's test part,
    as `gate.decide` takes it. It is called only for a champion of the same table and contract; others are not
    comparable. `margin` is in the units of its metric: the largest loss that still counts as not worse.
    """
    registry = Registry()
    with restored(stored) as folder:
        bundle = Bundle.open(folder)
        pipeline = bundle.manifest.pipeline
        known = next((found for found in registry.list(pipeline) if found.digest == bundle.digest), None)
        if known is None:
            summary = RunSummary.model_validate(bundle.json(SUMMARY))
            run_id = registry.log_run(pipeline, summary, bundle.config, history)
            version = registry.register(pipeline, folder, run_id)
        else:
            run_id, version = known.run_id, known.version
        if known is not None and (CHAMPION in known.aliases or _was_judged(registry, pipeline, version)):
            promoted = CHAMPION in known.aliases
            reasons: tuple[str, ...] = ("This bundle was registered by an earlier run.",)
        else:  # a run that was killed between the registration and the gate is judged by the next one
            challenger = _candidate(bundle, version, checks(bundle))
            promoted, reasons = _pass_gate(registry, pipeline, challenger, compare, margin)
    place = registry.bundle(pipeline, version).folder
    standing = "promoted" if promoted else "not promoted"
    current_run().say(f"  version {version}: {standing}. {' '.join(reasons)}")
    return Published(run_id=run_id, version=version, promoted=promoted, reasons=reasons, bundle=str(place))


def _was_judged(registry: Registry, pipeline: str, version: int) -> bool:
    return any(
        (event["event"], event.get("version")) == ("gate", version)
        for event in registry.history(pipeline).read()
    )


def _pass_gate(
    registry: Registry, pipeline: str, challenger: Candidate, compare: Compare, margin: float
) -> tuple[bool, tuple[str, ...]]:
    champion, comparison, against = None, None, None
    assert challenger.version is not None
    if found := registry.champion(pipeline):
        against = found.version
        bundle = registry.bundle(pipeline, against)
        champion = _candidate(bundle, against, {})
        if (champion.table, champion.contract_digest) == (challenger.table, challenger.contract_digest):
            try:
                comparison = compare(bundle, str(against))
            except RequestError as error:  # a champion of an older release, say: people decide
                current_run().say(f"  no comparison with version {against}: {error}")
    decision = decide(challenger, champion, comparison, margin=margin)
    promoted = registry.record(pipeline, challenger.version, decision, against=against)
    return promoted, decision.reasons


def _candidate(bundle: Bundle, version: int, checks: Mapping[str, Check]) -> Candidate:
    facts = bundle.manifest
    generated = facts.source == SYNTHETIC
    return Candidate(
        contract=facts.contract,
        contract_digest=facts.contract_digest,
        # real tables grow and stay the same table; generated ones are other worlds
        table=f"{facts.source} {facts.input_digest[:8]}" if generated else facts.source,
        generated=generated,
        version=version,
        checks=checks,
    )
