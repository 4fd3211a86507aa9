"""The one file that says what runs when: `infra/deployments.yaml`, or the user's own copy of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines import catalogue
from shared.contracts.document import read_document
from shared.errors import RequestError
from shared.orchestration.hooks import Hook
from shared.orchestration.intake import Unit
from shared.orchestration.overrides import validation_message

DEFAULT_FILE = Path(__file__).parents[2] / "infra" / "deployments.yaml"

Kind = Literal["train", "score"]
KINDS: tuple[Kind, ...] = ("train", "score")


def _cron(text: str) -> str:
    from datetime import datetime

    from cronsim import CronSim, CronSimError

    try:
        CronSim(text, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"Expected five cron fields such as '0 3 * * 0' ({error})") from error
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, LookupError) as error:
        raise ValueError("Expected a time zone such as Europe/Berlin or UTC") from error
    return text


def _folder(text: str) -> str:
    if "://" in text:
        raise ValueError("Expected a folder: mount the bucket on the machine")
    return text


Folder = Annotated[str, Field(min_length=1), AfterValidator(_folder)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timing(_Section):
    """When a deployment runs and how long it may take."""

    enabled: bool = Field(default=True, description="Whether it is scheduled at all.")
    cron: Annotated[str, AfterValidator(_cron)]
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    timeout_minutes: float = Field(gt=0, le=60 * 24 * 30)
    retries: int = Field(default=1, ge=0, le=20, description="Further tries after a failure of the machine.")
    retry_delay_seconds: float = Field(default=60, ge=0, le=86_400)


class Train(Timing):
    """`fieldwork run`, by the clock."""

    kind: Literal["train"] = "train"
    cron: Annotated[str, AfterValidator(_cron)] = "0 2 * * 0"
    timeout_minutes: float = Field(default=720, gt=0, le=60 * 24 * 30)
    preset: Literal["tiny", "quick", "full"] = "quick"
    source: str = Field(default="synthetic", min_length=1)
    overrides: dict[str, Any] = Field(default={}, description="Dotted configuration keys, as --set has them.")


class Score(Timing):
    """`fieldwork score` for whatever is new in a folder, by the clock."""

    kind: Literal["score"] = "score"
    cron: Annotated[str, AfterValidator(_cron)] = "0 * * * *"
    timeout_minutes: float = Field(default=55, gt=0, le=60 * 24 * 30)
    incoming: Folder = "incoming/{pipeline}"
    output: Folder = "scored/{pipeline}"
    unit: Unit = Field(default="entry", description="What is scored at once: an entry, or files of one stem.")
    suffix: Literal[".csv", ".parquet", ".jsonl"] = ".csv"
    version: str = Field(default="champion", pattern=r"^(champion|[1-9][0-9]{0,8})$")
    explain: bool = False
    settle_seconds: float = Field(default=60, ge=0, description="A file younger than this is left alone.")


class Deployment(_Section):
    """One pipeline, by the clock: all that a worker needs to know, as JSON."""

    pipeline: str
    settings: Train | Score = Field(discriminator="kind")
    hooks: tuple[Hook, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.pipeline}-{self.settings.kind}"

    @property
    def what(self) -> str:
        """In a few words, for tables."""
        settings = self.settings
        if isinstance(settings, Train):
            return f"preset {settings.preset}, data {settings.source}"
        return f"{settings.incoming} -> {settings.output}"


class _Kinds(_Section):
    train: dict[str, Any] = {}
    score: dict[str, Any] = {}


class _Document(_Section):
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    hooks: tuple[Hook, ...] = ()
    defaults: _Kinds = _Kinds()
    pipelines: dict[str, _Kinds] = {}


Model = TypeVar("Model", bound=BaseModel)


def read_deployments(path: Path) -> list[Deployment]:
    """Two deployments for each pipeline of the catalogue, in its order; those that are not enabled are left out.

    Raises RequestError that names the file, the place in it and what was expected.
    """
    document = _validated(_Document, read_document(path, "deployments"), str(path))
    known = {catalogue.find(name).name: kinds for name, kinds in document.pipelines.items()}
    if len(known) < len(document.pipelines):
        raise RequestError(f"{path}: Expected each pipeline once. Received one under two spellings.")
    found = [
        deployment
        for pipeline in catalogue.PIPELINES
        for deployment in _of(pipeline.name, known.get(pipeline.name, _Kinds()), document, path)
    ]
    _require_apart(found, path)
    return found


def _of(name: str, kinds: _Kinds, document: _Document, path: Path) -> Iterator[Deployment]:
    for kind in KINDS:
        values = {
            "time_zone": document.time_zone,
            **getattr(document.defaults, kind),
            **getattr(kinds, kind),
            "kind": kind,
        }
        where = f"{path}: pipelines.{name}.{kind}"
        settings = _validated(Train, values, where) if kind == "train" else _validated(Score, values, where)
        if isinstance(settings, Score):
            places = {
                each: getattr(settings, each).replace("{pipeline}", name) for each in ("incoming", "output")
            }
            settings = settings.model_copy(update=places)
        elif settings.overrides:
            _check_overrides(name, settings, where)
        if settings.enabled:
            yield Deployment(pipeline=name, settings=settings, hooks=document.hooks)


def _check_overrides(name: str, settings: Train, where: str) -> None:
    """The flow's module takes seconds to import: only where there is something to check."""
    import importlib

    configure = importlib.import_module(f"{catalogue.find(name).module}.flow").configure
    try:
        configure(settings.preset, settings.source, settings.overrides)
    except RequestError as error:
        raise RequestError(f"{where}.overrides: {error}") from error


def _require_apart(deployments: list[Deployment], path: Path) -> None:
    """Outputs in a folder of new data would be scored in their turn, and two records in one place mix."""
    scores = [(each.name, each.settings) for each in deployments if isinstance(each.settings, Score)]
    for name, settings in scores:
        for other, theirs in scores:
            output, incoming = Path(settings.output), Path(theirs.incoming)
            if output == incoming or incoming in output.parents:
                raise RequestError(
                    f"{path}: Expected the output of {name} outside of every incoming folder. Received {output} in "
                    f"that of {other}."
                )
            if name != other and output == Path(theirs.output):
                raise RequestError(
                    f"{path}: Expected an output folder for each. Received {output} for {name} and {other}."
                )


def _validated(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(f"{where}: {validation_message(error)}") from error
