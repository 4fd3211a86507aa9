"""Prefect's `flow` decorator, imported after Prefect has been pointed at the data home.

Prefect reads its settings once, at import; flows that take the decorator from here never write elsewhere.
"""

from shared.orchestration.server import configure

configure()

from prefect import flow  # noqa: E402

__all__ = ["flow"]
