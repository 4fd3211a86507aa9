"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl

from pipelines.recommender import rankers
from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.score import Scorer
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored
from shared.training.runtime import single_thread


class Ingested(IngestedTable):
    """Interactions that keep the contract and are usable, with attribute tables."""

    items: Ref | None
    users: Ref | None


class Divided(Handle):
    """The three parts and what the leak audit said of them."""

    train: Ref
    validation: Ref
    test: Ref
    method: str
    audit: dict[str, Any]


class Fitted(Handle):
    """Every model as a stored folder, fitted on all that came before the test part; how each was chosen; which one
    is served."""

    models: dict[str, Ref]
    selection: Ref
    served: str


@contextmanager
def opened(
    ingested: Ingested, divided: Divided, fitted: Fitted, config: RecommenderConfig
) -> Iterator[Scorer]:
    """The scorer of the served model, with everything known before the test part."""
    catalogue = catalogue_of(ingested, divided)
    with restored(fitted.models[fitted.served]) as folder, single_thread():
        kind, ranker = rankers.load(folder)
        yield Scorer(config, kind, ranker, catalogue, catalogue.histories(before_test(divided)))


def catalogue_of(ingested: Ingested, divided: Divided) -> Catalogue:
    """Users and items of all that came before the test part."""
    store = default_store()
    items, users = (store.frame(ref) if ref else None for ref in (ingested.items, ingested.users))
    return Catalogue.fit(before_test(divided), items, users)


def before_test(divided: Divided) -> pl.DataFrame:
    """All interactions that came before the test part."""
    store = default_store()
    return pl.concat([store.frame(divided.train), store.frame(divided.validation)])
