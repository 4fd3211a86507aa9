"""One small trained scorer for the whole session, and the way of a lender's file through the first two steps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.config import CreditConfig, DataConfig, tiny
from pipelines.credit_scoring.explain import reference_rows
from pipelines.credit_scoring.generator import SCHEMA, generate
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.train import outcomes, predict_log_odds, train_network
from shared.data.columns import load_column_map
from shared.data.store import default_store
from shared.evaluation.calibration import PlattScaling
from shared.orchestration.overrides import with_overrides
from shared.orchestration.stored import Source


@dataclass(frozen=True)
class Small:
    """A scorer trained on generated applicants, with the parts that it was trained, calibrated and tested on."""

    config: CreditConfig
    training: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    scorer: Scorer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small() -> Small:
    frame = generate(3600, seed=7)
    training, validation, test = frame[:2200], frame[2200:2800], frame[2800:]
    config = tiny()
    features, result = train_network(training, validation, SCHEMA, config, seed=0)
    raw = predict_log_odds(result.model, features.transform(validation))
    scorer = Scorer(
        schema=SCHEMA,
        config=config,
        features=features,
        network=result.model,
        # Platt, so that slope and intercept of the calibration take part in every identity that is tested
        calibration=PlattScaling.fit(raw, outcomes(validation)),
        background=training[:0],
    )
    reference = reference_rows(training, scorer.probability(training), config, scorer.rule.cut_off)
    return Small(
        config, training, validation, test, scorer.with_background(reference.select(SCHEMA.feature_names))
    )


@dataclass(frozen=True)
class Read:
    """What became of a lender's file."""

    ingested: steps.Ingested
    valid: pl.DataFrame
    quarantine: pl.DataFrame
    source: Source
    config: DataConfig

    @property
    def features(self) -> tuple[str, ...]:
        return self.ingested.lender.feature_names

    @property
    def protected(self) -> list[str]:
        return [column.name for column in self.ingested.lender.protected]

    def note(self, word: str) -> str:
        """The one note that has this word."""
        (found,) = [note for note in self.ingested.notes if word in note]
        return found


@pytest.fixture
def ingest_file() -> Callable[..., Read]:
    """A file through the step `ingest`; `columns` is what a user gives as `data.columns`."""

    def ingest(path: Path | str, columns: Any = None) -> Read:
        config = with_overrides(tiny(), {"data.columns": load_column_map(columns)}).data
        source = steps.identify(str(path), config)
        ingested = steps.ingest.function(source, config, 0)
        store = default_store()
        quarantine = store.frame(ingested.quarantine) if ingested.quarantine else pl.DataFrame()
        return Read(ingested, store.frame(ingested.table), quarantine, source, config)

    return ingest


@pytest.fixture
def ingest(tmp_path: Path, ingest_file: Callable[..., Read]) -> Callable[..., Read]:
    """The same for a table, written as the suffix of `name` says."""

    def ingest_frame(frame: pl.DataFrame, columns: Any = None, name: str = "applications.parquet") -> Read:
        path = tmp_path / name
        if name.endswith(".parquet"):
            frame.write_parquet(path)
        elif name.endswith(".jsonl"):
            frame.write_ndjson(path)
        else:
            frame.write_csv(path)
        return ingest_file(path, columns)

    return ingest_frame


@pytest.fixture(scope="session")
def applicants() -> pl.DataFrame:
    """A lender's own table: 400 applicants with outcome, ids and protected attributes."""
    return generate(400, seed=3)
