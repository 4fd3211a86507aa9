"""Registered versions as MLflow holds them: reading them, and the ordered list of champions beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.errors import RequestError

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
DIGEST_TAG = "fieldwork.digest"
REFERENCE_TAG = "fieldwork.reference"
HEAD_TAG = "fieldwork.history_head"
_CHAMPIONS_TAG = "fieldwork.champions"
# The tag holds 5000 characters; nobody rolls back further than this.
_CHAMPIONS_KEPT = 100


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. `digest` fixes the content of its bundle; `table` is what it was trained on."""

    pipeline: str
    version: int
    run_id: str
    digest: str
    source: str
    contract: str
    table: str
    created_at: str
    aliases: tuple[str, ...]
    reference: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "aliases": list(self.aliases)}


def find_versions(client: "MlflowClient", pipeline: str) -> list[ModelVersion]:
    """Every version of a pipeline that holds one of our bundles, newest first."""
    model = find_model(client, pipeline)
    if model is None:
        return []
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{pipeline}'", page_token=token)
        found += [_from_mlflow(item, model) for item in page if DIGEST_TAG in item.tags]
        if not (token := page.token):
            return sorted(found, key=lambda item: item.version, reverse=True)


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One tracked run, whether or not its model was registered: when it was logged, UTC, and its final metrics."""

    run_id: str
    name: str
    status: str
    at: datetime
    preset: str
    source: str
    verdict: str
    metrics: Mapping[str, float]


def find_runs(client: "MlflowClient", pipeline: str, most: int) -> list[TrackedRun]:
    """The latest runs of a pipeline, newest first; none where it never ran."""
    experiment = client.get_experiment_by_name(pipeline)
    if experiment is None:
        return []
    found = client.search_runs([experiment.experiment_id], max_results=most, order_by=["start_time DESC"])
    return [_run_from_mlflow(run) for run in found]


def find_pipelines(client: "MlflowClient") -> list[str]:
    """Names of all registered models."""
    names: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        names += [model.name for model in page]
        if not (token := page.token):
            return sorted(names)


def find_model(client: "MlflowClient", pipeline: str) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    if not pipeline.replace("_", "").replace("-", "").isalnum():  # it becomes part of a search expression
        raise RequestError(f"Expected the name of a pipeline. Received {pipeline!r}.")
    try:
        return client.get_registered_model(pipeline)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def find_champions(client: "MlflowClient", pipeline: str, current: int) -> list[int]:
    """Champions in the order they were made, ending with the current one.

    The alias decides: entries after it belong to a promotion or a rollback that was killed half-way.
    """
    model = find_model(client, pipeline)
    champions = json.loads(model.tags.get(_CHAMPIONS_TAG, "[]")) if model is not None else []
    while champions and champions[-1] != current:
        champions.pop()
    return champions or [current]


def set_champions(client: "MlflowClient", pipeline: str, champions: Sequence[int]) -> None:
    text = json.dumps(list(champions)[-_CHAMPIONS_KEPT:])
    client.set_registered_model_tag(pipeline, _CHAMPIONS_TAG, text)


def set_champion(client: "MlflowClient", pipeline: str, version: int) -> None:
    client.set_registered_model_alias(pipeline, CHAMPION, str(version))


def _run_from_mlflow(run: "MlflowRun") -> TrackedRun:
    info, tags = run.info, run.data.tags
    return TrackedRun(
        run_id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        at=datetime.fromtimestamp(info.start_time / 1000, UTC),
        preset=tags.get("preset", ""),
        source=tags.get("source", ""),
        verdict=tags.get("verdict", ""),
        metrics=dict(run.data.metrics),
    )


def _from_mlflow(item: "MlflowVersion", model: "RegisteredModel") -> ModelVersion:
    number = int(item.version)
    created = datetime.fromtimestamp(item.creation_timestamp / 1000, UTC)
    return ModelVersion(
        pipeline=item.name,
        version=number,
        run_id=item.run_id or "",
        digest=item.tags[DIGEST_TAG],
        source=item.source or "",
        contract=item.tags.get("contract", ""),
        table=item.tags.get("table", ""),
        created_at=created.isoformat(timespec="seconds"),
        aliases=tuple(sorted(alias for alias, target in model.aliases.items() if int(target) == number)),
        reference=item.tags.get(REFERENCE_TAG, ""),
    )
