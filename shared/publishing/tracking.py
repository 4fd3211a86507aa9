"""The door to MLflow: imported late, quiet, without telemetry, its database there whole or not at all."""

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.data.files import file_lock
from shared.data.home import Home
from shared.errors import FieldworkError, RequestError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
# Limits of MLflow: values of parameters, and entries per request.
_PARAMETER_LENGTH = 6000
_PARAMETERS_PER_BATCH = 100
_METRICS_PER_BATCH = 1000
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_./: -]")


class Tracking:
    """Connection to a tracking server or to the database file of a home.

    MLFLOW_TRACKING_URI names a server; without it everything is in `mlflow.db` of the home. One file lock
    serialises the writers of the database file: SQLite alone answers "database is locked" under load.
    """

    def __init__(self, place: Home, uri: str | None = None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"{_SQLITE}{place.mlflow_db}"
        self._artifacts = place.artifacts / "runs"
        self._client: MlflowClient | None = None

    @property
    def served(self) -> bool:
        """Whether a server answers, which also takes the artifacts of other machines."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def client(self) -> "MlflowClient":
        if self._client is None:
            with explained(self.uri):
                self._client = self._connect()
        return self._client

    def writing(self) -> "AbstractContextManager[Any]":
        """Hold while writing, and around every read that a write depends on."""
        database = self._database()
        return file_lock(_beside(database, ".lock")) if database else nullcontext()

    def experiment(self, name: str) -> str:
        """Id of the experiment of a pipeline, created on first use. Call while writing."""
        from mlflow.exceptions import MlflowException

        if (found := self.client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        location = None if self.served else (self._artifacts / name).as_uri()
        try:
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another machine was faster, or the experiment lies in the server's bin
            if (found := self.client.get_experiment_by_name(name)) is None:
                raise
            return str(found.experiment_id)

    def _connect(self) -> "MlflowClient":
        _quiet()
        from mlflow.tracking import MlflowClient

        database = self._database()
        if database is not None and not database.exists():
            # Not the lock of `writing`: the first call may come while that one is held.
            with file_lock(_beside(database, ".setup.lock")):
                if not database.exists():
                    _create_database(database, self._artifacts)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _database(self) -> Path | None:
        return Path(self.uri.removeprefix(_SQLITE)) if self.uri.startswith(_SQLITE) else None


def log_values(
    client: "MlflowClient",
    run_id: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Log parameters, final metrics and the values of each epoch in few requests, without null values."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    points = [Metric(_key(name), value, now, 0) for name, value in metrics.items() if value is not None]
    for index, row in enumerate(history):
        step = int(row.get("epoch", index))
        points += [
            Metric(_key(name), float(value), now, step)
            for name, value in row.items()
            if _is_curve(name, value)
        ]
    values = [Param(_key(name), str(value)[:_PARAMETER_LENGTH]) for name, value in flatten(params).items()]
    for start in range(0, len(values), _PARAMETERS_PER_BATCH):
        client.log_batch(run_id, params=values[start : start + _PARAMETERS_PER_BATCH])
    for start in range(0, len(points), _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_PER_BATCH])


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into one plain line that names the place."""
    try:
        yield
    except (FieldworkError, KeyboardInterrupt):
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3")):
            raise
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "out-of-date database schema" in text:
            raise RequestError(
                f"{uri} was made by another MLflow release. Run `mlflow db upgrade {uri}` after a backup."
            ) from error
        raise FieldworkError(
            f"The model registry at {uri} does not answer as expected: {text[:300]}. "
            "Check the file or the server, or set MLFLOW_TRACKING_URI."
        ) from error


def _is_curve(name: str, value: Any) -> bool:
    return (
        name != "epoch" and isinstance(value, int | float) and value == value and abs(value) != float("inf")
    )


def _key(name: str) -> str:
    return _FORBIDDEN.sub("_", name)[:250]


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _quiet() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Links and progress bars would end up in the output that a caller reads as JSON.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow  # noqa: F401 - it sets its own log levels when it is imported

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _create_database(database: Path, artifacts: Path) -> None:
    """Make the database under another name and rename it.

    MLflow creates the tables and then migrates them step by step: a process killed between leaves a database
    that every later start refuses as out of date.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    for stale in database.parent.glob(f".{database.name}.*.new*"):
        stale.unlink(missing_ok=True)
    draft = database.with_name(f".{database.name}.{secrets.token_hex(6)}.new")
    store = SqlAlchemyStore(f"{_SQLITE}{draft}", artifacts.as_uri())
    store.engine.dispose()
    os.replace(draft, database)
