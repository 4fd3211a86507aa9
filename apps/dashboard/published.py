"""What the pages read: published versions, their bundles, decisions about them, and what was scored with them.

Bundles never change, so they are kept by their digest. Which of them is the champion may change at any moment, by a
schedule or on the command line: that is looked up again after a few seconds.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.imports import imported
from apps.dashboard.listing import versions_of
from shared.data.home import home
from shared.orchestration.score_log import score_log
from shared.publishing.blocks import Kind
from shared.publishing.bundle import Bundle
from shared.publishing.registry import Registry
from shared.publishing.summary import RunSummary
from shared.publishing.versions import CHAMPION, ModelVersion

if TYPE_CHECKING:
    import polars as pl

_LOOK_AGAIN_SECONDS = 10
_MOST_MODELS = 24
_MOST_SCORE_RUNS = 200


@dataclass(frozen=True, slots=True)
class Model:
    """A published version as its bundle tells of it: nothing here changes any more."""

    pipeline: str
    version: int
    bundle: Bundle
    summary: RunSummary
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return self.bundle.digest

    @property
    def created_at(self) -> datetime:
        """When its training ended, UTC."""
        return self.bundle.manifest.created_at

    @property
    def verdict_kind(self) -> Kind:
        """How good the news is: whether the model beats the simple baselines outside noise."""
        beats = (self.metrics.get("verdict") or {}).get("beats")
        kinds: dict[str, Kind] = {"yes": "good", "no": "warning"}
        return kinds.get(str(beats), "neutral")

    @property
    def explanation_warning(self) -> str | None:
        """What to show beside every explanation: it failed its check, or was never checked; None when it passed."""
        explanation = self.summary.explanation
        if explanation is not None and explanation.faithful:
            return None
        attribution = (self.metrics.get("explanation") or {}).get("attribution") or {}
        if attribution.get("warning"):
            return str(attribution["warning"])
        if explanation is None or explanation.faithful is None:
            return "The explanations of this model were not checked: do not rely on them."
        return f"Not faithful for this model ({explanation.method}): do not rely on it."

    def frame(self, name: str) -> "pl.DataFrame":
        """A table of the bundle, such as `features/background.parquet`."""
        import polars as pl

        return pl.read_parquet(self.bundle.path(name))

    def has(self, name: str) -> bool:
        """Whether the bundle has this file; those of earlier releases may lack some."""
        return name in self.bundle.manifest.files


@dataclass(frozen=True, slots=True)
class ScoreRun:
    """One entry of the score log: a file that was scored, or one that broke the contract (`reason`)."""

    at: datetime
    input: str
    path: str = ""
    version: str = ""
    rows: Mapping[str, int] | None = None
    drifted: bool | None = None
    drifted_columns: tuple[str, ...] = ()
    seconds: float | None = None
    reason: str = ""

    @property
    def refused(self) -> bool:
        """Whether the file as a whole broke the contract."""
        return bool(self.reason)


def versions(pipeline: str) -> list[ModelVersion]:
    """Every published version, newest first; empty where nothing was published."""
    return _versions(str(home().root), pipeline)


def champion(pipeline: str) -> ModelVersion | None:
    """The version that scoring uses, or None."""
    return next((found for found in versions(pipeline) if CHAMPION in found.aliases), None)


def model(found: ModelVersion) -> Model:
    """A version with its verified bundle. Raises FieldworkError where the bundle is gone or damaged."""
    return _model(str(home().root), found)


def history(pipeline: str) -> list[dict[str, Any]]:
    """Decisions of the gate, promotions and rollbacks with their reasons, newest first."""
    return Registry().history(pipeline).read()[::-1]


def score_runs(pipeline: str) -> list[ScoreRun]:
    """What was scored on the command line and by schedules, newest first; uploads to the dashboard are not in it."""
    return [_score_run(event) for event in score_log(pipeline).read()[-_MOST_SCORE_RUNS:][::-1]]


def refresh() -> None:
    """Look up again which versions there are."""
    _versions.clear()


def registry() -> Registry:
    """The registry for questions that MLflow answers: the first one imports it, which takes seconds."""
    imported("mlflow.tracking")
    return Registry()


def nothing_published() -> bool:
    """Whether there is no registry yet: asking MLflow would create one."""
    return not os.environ.get("MLFLOW_TRACKING_URI") and not home().mlflow_db.is_file()


@st.cache_resource(ttl=_LOOK_AGAIN_SECONDS, max_entries=100, show_spinner=False)
def _versions(root: str, pipeline: str) -> list[ModelVersion]:
    return [] if nothing_published() else versions_of(pipeline, lambda name: registry().list(name))


def _name(found: ModelVersion) -> tuple[str, int, str]:
    """Which model it is; aliases come and go."""
    return found.pipeline, found.version, found.digest


@st.cache_resource(max_entries=_MOST_MODELS, show_spinner=False, hash_funcs={ModelVersion: _name})
def _model(root: str, found: ModelVersion) -> Model:
    bundle = Registry().open(found)
    return Model(
        pipeline=found.pipeline,
        version=found.version,
        bundle=bundle,
        summary=RunSummary.model_validate(bundle.json("summary.json")),
        metrics=bundle.metrics,
        config=bundle.config,
    )


def _score_run(event: Mapping[str, Any]) -> ScoreRun:
    drift = event.get("drift") or {}
    return ScoreRun(
        at=datetime.fromisoformat(event["at"]),
        input=str(event.get("input", "")),
        path=str(event.get("path", "")),
        version=str(event.get("version", "")),
        rows=event.get("rows"),
        drifted=drift.get("drifted"),
        drifted_columns=tuple(drift.get("columns", ())),
        seconds=event.get("seconds"),
        reason=str(event.get("reason", "")),
    )
