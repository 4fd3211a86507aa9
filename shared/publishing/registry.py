"""Tracked runs and versions of models, on MLflow: which bundle is in use, which one was before, and why.

A version is a bundle, registered by its place and digest; MLflow never loads it. The alias `champion` is what
scoring uses, `challenger` is the version registered last. The champions so far are kept in order on the
registered model, so that a rollback needs no guess, and every event goes to the history.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.data.home import Home, home
from shared.errors import FieldworkError, RequestError
from shared.publishing.artifacts import BundleStore
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Decision
from shared.publishing.history import History, user_name
from shared.publishing.summary import RunSummary
from shared.publishing.tracking import Tracking, explained, log_values
from shared.publishing.versions import (
    CHALLENGER,
    CHAMPION,
    DIGEST_TAG,
    HEAD_TAG,
    REFERENCE_TAG,
    ModelVersion,
    TrackedRun,
    find_champions,
    find_model,
    find_pipelines,
    find_runs,
    find_versions,
    set_champion,
    set_champions,
)


class Registry:
    """The registry of a home, or of the server that MLFLOW_TRACKING_URI names; nothing is opened yet."""

    def __init__(self, place: Home | None = None, tracking_uri: str | None = None) -> None:
        self._home = place or home()
        self._tracking = Tracking(self._home, tracking_uri)
        self._bundles = BundleStore(self._home)

    def history(self, pipeline: str) -> History:
        """The record of decisions for one pipeline, in the artifacts of this home."""
        return History(self._home.artifacts / "history" / f"{pipeline}.jsonl")

    def log_run(
        self,
        pipeline: str,
        summary: RunSummary,
        params: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Track one finished run: settings, metrics with intervals, baselines and the values of each epoch.

        `history` has one mapping per epoch; its `epoch` is the step. Returns the id of the run.
        """
        tags = {"source": summary.source, "preset": summary.preset, "contract": summary.contract}
        tags |= {"verdict": summary.verdict[:5000], "mlflow.user": user_name()}
        name = f"{summary.source.rsplit('/', 1)[-1]}-{summary.preset}"
        with explained(self._tracking.uri), self._tracking.writing():
            client = self._tracking.client
            experiment = self._tracking.experiment(pipeline)
            run_id = str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
            status = "FAILED"
            try:
                log_values(client, run_id, params, _metric_values(summary), history)
                status = "FINISHED"
            finally:
                client.set_terminated(run_id, status)
        return run_id

    def register(self, pipeline: str, bundle_folder: Path, run_id: str) -> int:
        """Copy a bundle into the artifacts, register it as `challenger` and return its version number.

        The same bundle registered again, as a repeated step does, keeps its number. Making it the champion is
        the work of `gate.decide` and `record`, or of `promote`.
        """
        bundle = Bundle.open(bundle_folder)
        if bundle.manifest.pipeline != pipeline:
            raise FieldworkError(f"Expected a bundle of {pipeline}. Received {bundle.manifest.pipeline}.")
        with explained(self._tracking.uri):
            source, reference = self._keep(bundle, run_id)
            with self._tracking.writing():
                for known in self.list(pipeline):
                    if known.digest == bundle.digest:
                        return known.version
                return self._create_version(bundle, run_id, source, reference)

    def list(self, pipeline: str | None = None) -> list[ModelVersion]:
        """Every version of one pipeline or of all, newest first."""
        with explained(self._tracking.uri):
            client = self._tracking.client
            names = [pipeline] if pipeline else find_pipelines(client)
            return [version for name in names for version in find_versions(client, name)]

    def runs(self, pipeline: str, most: int = 50) -> Sequence[TrackedRun]:
        """The latest tracked runs of a pipeline, newest first."""
        with explained(self._tracking.uri):
            return find_runs(self._tracking.client, pipeline, most)

    def champion(self, pipeline: str) -> ModelVersion | None:
        """The version that scoring uses, or None where nothing was promoted yet."""
        return next((found for found in self.list(pipeline) if CHAMPION in found.aliases), None)

    def version(self, pipeline: str, version: int | str = CHAMPION) -> ModelVersion:
        """A version by number or alias. Raises RequestError with what there is instead."""
        versions = self.list(pipeline)
        wanted = str(version)
        for found in versions:
            if wanted == str(found.version) or wanted in found.aliases:
                return found
        there = ", ".join(str(found.version) for found in versions[:10]) or "none"
        way_out = "Use one of these" if versions else f"Run `fieldwork run {pipeline}` first"
        raise RequestError(f"{pipeline} has no version {wanted!r} (registered: {there}). {way_out}.")

    def bundle(self, pipeline: str, version: int | str = CHAMPION) -> Bundle:
        """The verified bundle of a version, fetched first where it lies on a server or in a shared store."""
        return self.open(self.version(pipeline, version))

    def open(self, found: ModelVersion) -> Bundle:
        """As `bundle`, for a version that was looked up before: the registry is not asked again."""
        with explained(self._tracking.uri):
            kept = self._bundles.get(found.pipeline, found.digest, found.reference)
            if kept is None and self._tracking.served:
                kept = self._download(found)
        if kept is None:
            folder = self._bundles.folder(found.pipeline, found.digest)
            raise FieldworkError(
                f"The bundle of {found.pipeline} version {found.version} is gone from {folder}. "
                f"Restore it, or use another: `fieldwork models promote {found.pipeline} VERSION`."
            )
        return kept

    def record(self, pipeline: str, version: int, decision: Decision, *, against: int | None) -> bool:
        """Keep a decision of the gate in the history and act on it; returns whether the version was promoted.

        `against` is the champion that the decision was made against. When another one took its place in the
        meantime, nothing is promoted: the comparison no longer says anything about what is in use.
        """
        with explained(self._tracking.uri), self._tracking.writing():
            champion = self.champion(pipeline)
            now = champion.version if champion else None
            self._note(pipeline, "gate", version=version, champion=against, **decision.to_json())
            if decision.promote and now != against:
                reason = (
                    f"The champion changed from {against} to {now} while the decision was made: run again."
                )
                self._note(pipeline, "refused", version=version, champion=now, reasons=[reason])
                return False
            if decision.promote:
                self._promote(pipeline, version, decision.reasons)
            return decision.promote

    def promote(self, pipeline: str, version: int, *, reasons: Sequence[str] = ("by hand",)) -> ModelVersion:
        """Make a version the champion, whatever the gate said, and note who did it."""
        with explained(self._tracking.uri), self._tracking.writing():
            self._promote(pipeline, version, reasons)
        return self.version(pipeline, version)

    def rollback(self, pipeline: str, *, reason: str = "by hand") -> ModelVersion:
        """Make the previous champion the champion again. Raises RequestError when there is none."""
        with explained(self._tracking.uri), self._tracking.writing():
            client, current = self._tracking.client, self.champion(pipeline)
            existing = {found.version for found in self.list(pipeline)}
            champions = find_champions(client, pipeline, current.version) if current else []
            earlier = [number for number in champions[:-1] if number in existing]
            if current is None or not earlier:
                raise RequestError(
                    f"{pipeline} has no earlier champion to go back to. "
                    f"Choose a version with `fieldwork models promote {pipeline} VERSION`."
                )
            target = earlier[-1]
            self.bundle(pipeline, target)
            set_champion(client, pipeline, target)
            set_champions(client, pipeline, earlier)
            self._note(pipeline, "rollback", version=target, replaced=current.version, reasons=[reason])
        return self.version(pipeline, target)

    def verify_history(self, pipeline: str) -> int:
        """Check the history against its own chain and against the registry; returns the number of events.

        With a server only the chain is checked: the server also knows events of other machines.
        """
        with explained(self._tracking.uri):
            model = None if self._tracking.served else find_model(self._tracking.client, pipeline)
        return self.history(pipeline).verify(None if model is None else model.tags.get(HEAD_TAG))

    def _promote(self, pipeline: str, version: int, reasons: Sequence[str]) -> None:
        found, before = self.version(pipeline, version), self.champion(pipeline)
        if before is not None and before.version == found.version:
            return
        self.open(found)  # verified now, not when scoring needs it
        client = self._tracking.client
        champions = find_champions(client, pipeline, before.version) if before else []
        # First the list, then the alias: a process killed between leaves an entry that rollback ignores.
        set_champions(client, pipeline, [*champions, found.version])
        set_champion(client, pipeline, found.version)
        replaced = before.version if before else None
        self._note(pipeline, "promotion", version=found.version, replaced=replaced, reasons=reasons)

    def _create_version(self, bundle: Bundle, run_id: str, source: str, reference: str) -> int:
        from mlflow.exceptions import MlflowException

        client, facts = self._tracking.client, bundle.manifest
        with suppress(MlflowException):  # it exists already: the next call fails if that was not the reason
            client.create_registered_model(facts.pipeline)
        tags = {DIGEST_TAG: bundle.digest, "contract": facts.contract, "table": facts.source[:500]}
        if reference:
            tags[REFERENCE_TAG] = reference
        made = client.create_model_version(facts.pipeline, source, run_id=run_id or None, tags=tags)
        client.set_registered_model_alias(facts.pipeline, CHALLENGER, str(made.version))
        return int(made.version)

    def _keep(self, bundle: Bundle, run_id: str) -> tuple[str, str]:
        source, reference = self._bundles.add(bundle)
        if not self._tracking.served or reference:
            return source, reference
        # A server refuses files of this machine as a source, and other machines could not read them.
        client = self._tracking.client
        client.log_artifacts(run_id, str(bundle.folder), "bundle")
        return f"{client.get_run(run_id).info.artifact_uri}/bundle", ""

    def _download(self, found: ModelVersion) -> Bundle:
        from mlflow.artifacts import download_artifacts

        self._home.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._home.cache) as draft:
            folder = download_artifacts(
                artifact_uri=found.source, dst_path=draft, tracking_uri=self._tracking.uri
            )
            return self._bundles.adopt_folder(Path(folder), found.digest)

    def _note(self, pipeline: str, event: str, **facts: Any) -> None:
        head = self.history(pipeline).append(event, **facts)
        self._tracking.client.set_registered_model_tag(pipeline, HEAD_TAG, head)


def _metric_values(summary: RunSummary) -> dict[str, float | None]:
    groups = {"": summary.metrics}
    groups |= {f"baseline/{name}/": metrics for name, metrics in summary.baselines.items()}
    values: dict[str, float | None] = {}
    for prefix, metrics in groups.items():
        for name, metric in metrics.items():
            values |= {f"{prefix}{name}": metric.value}
            values |= {f"{prefix}{name}.low": metric.low, f"{prefix}{name}.high": metric.high}
    values |= {f"seconds/{name}": seconds for name, seconds in summary.seconds.items()}
    if summary.training is not None:
        values["training/samples_per_second"] = summary.training.samples_per_second
    return values
