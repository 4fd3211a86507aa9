"""What the tests of the flows have in common: how each pipeline is run in seconds, and new rows for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tests.commands import COMMANDS, CREDIT_SCORING, RECOMMENDER, Commands, settings

_savefig, _lay_out = Figure.savefig, ConstrainedLayoutEngine.execute


@pytest.fixture(scope="module", autouse=True)
def _empty_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures take half of a short run in this process; the tests of each pipeline's whole run draw them."""
    if request.module.__name__.endswith("_run"):
        yield
        return
    with drawing(_save_nothing, lambda engine, figure: None):
        yield


@pytest.fixture
def drawn_figures() -> Iterator[None]:
    """For a test that looks at them."""
    with drawing(_savefig, _lay_out):
        yield


@contextmanager
def drawing(savefig: Callable[..., None], lay_out: Callable[..., None]) -> Iterator[None]:
    with patch.object(Figure, "savefig", savefig), patch.object(ConstrainedLayoutEngine, "execute", lay_out):
        yield


def _save_nothing(figure: Any, target: IO[str], **options: Any) -> None:
    target.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>')


@pytest.fixture(scope="session")
def commands() -> Mapping[str, Commands]:
    """How the tests run each pipeline, by its name."""
    return COMMANDS


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
def little_evidence() -> Sequence[str]:
    """Options of credit scoring for tests that are not about the evidence."""
    return CREDIT_SCORING.little_evidence


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
