"""What the tests on public data have in common."""

from collections.abc import Iterator

import pytest

from tests.drawing import empty_figures


@pytest.fixture(scope="module", autouse=True)
def _empty_figures() -> Iterator[None]:
    """The figures are looked at in the tests of the pipelines."""
    with empty_figures():
        yield
