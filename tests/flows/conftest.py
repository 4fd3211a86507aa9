"""What the tests of the flows have in common: how each pipeline is run in seconds, and new rows for it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.commands import CREDIT_SCORING, RECOMMENDER, settings
from tests.drawing import empty_figures


@pytest.fixture(scope="module", autouse=True)
def _empty_figures() -> Iterator[None]:
    """The tests of the reports draw them, and so does a run of credit scoring that is a process."""
    with empty_figures():
        yield


@pytest.fixture(scope="module")
def published_alone(
    publish_shared: Callable[[str, Path], None], fieldwork_in: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """`published_alone(pipeline)`: the command in a new home with the model that the tests share."""

    def published(pipeline: str) -> Any:
        fieldwork = fieldwork_in(tmp_path_factory.mktemp("published") / "home")
        publish_shared(pipeline, fieldwork.home)
        return fieldwork

    return published


@pytest.fixture(scope="session")
def tiny() -> Sequence[str]:
    """The command that most tests of credit scoring run."""
    return CREDIT_SCORING.tiny


@pytest.fixture(scope="session")
def applications() -> Callable[..., pl.DataFrame]:
    """Generated applications in the contract's shape: `applications(num_rows, seed)`."""
    from pipelines.credit_scoring.generator import generate

    return generate


@pytest.fixture(scope="session")
def tiny_recommender() -> Sequence[str]:
    """The command that most tests of the recommender run: all models."""
    return RECOMMENDER.tiny


@pytest.fixture(scope="session")
def few_models() -> Sequence[str]:
    """Options of the recommender for tests that are not about networks: no training by gradient, little evidence."""
    return settings(
        "evaluation.num_bootstraps=50", "explanation.num_checked=10", "models=[popularity, item_knn]"
    )


@pytest.fixture(scope="session")
def generated() -> Any:
    """Interactions and attributes as `--preset tiny` generates them."""
    from pipelines.recommender.config import tiny
    from pipelines.recommender.generator import generate

    data = tiny().data
    return generate(data.num_users, data.num_items, tiny().seed).tables
