"""What the tests of the flows have in common: the command, and new applications."""

from collections.abc import Callable, Sequence

import polars as pl
import pytest


@pytest.fixture(scope="session")
def tiny() -> Sequence[str]:
    """The command that most tests run."""
    return ("run", "credit_scoring", "--preset", "tiny")


@pytest.fixture(scope="session")
def little_evidence() -> Sequence[str]:
    """Everything runs, the evidence is small: for tests that are not about the evidence."""
    return (
        "--set", "evaluation.num_bootstraps=50", "--set", "explanation.num_checked=20",
        "--set", "explanation.stability_seeds=0", "--set", "explanation.num_recourse=0",
    )  # fmt: skip


@pytest.fixture(scope="session")
def applications() -> Callable[..., pl.DataFrame]:
    """Generated applications in the contract's shape: `applications(num_rows, seed)`."""
    from pipelines.credit_scoring.generator import generate

    return generate
