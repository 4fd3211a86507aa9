"""The environment card: what the features and actions of an environment are called, and what its reward counts.

A user writes it as YAML or JSON (`read_card`), or it is made from the environment (`known.card_of`). Explanations,
reports and the episodes of an agent speak its words; so it is checked against the environment before anything is
learnt from it (`checking.check`). Nothing in a card is ever run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.contracts.contract import Contract, load
from shared.contracts.document import read_document
from shared.contracts.properties import Property
from shared.errors import RequestError
from shared.orchestration.overrides import validation_message

CONTRACT, OUTPUT_CONTRACT = "environment_card", "agent_episodes"

_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
# Cost terms become names of columns.
_Term = Annotated[str, Field(max_length=60, pattern=r"^[a-z][a-z0-9_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Feature(_Part):
    """One number of an observation. low, high: what it never leaves, None where nothing holds it."""

    name: _Name
    unit: _Name = Field(description="1 for none")
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(
                f"Expected low of {self.name} at most high. Received {self.low:g}, {self.high:g}."
            )
        return self


class Card(_Part):
    """An environment in words. Either features or the shape of an image describe an observation."""

    id: str = Field(min_length=1, max_length=200, description="as registered in Gymnasium")
    observation: tuple[Feature, ...] = Field((), max_length=10_000, description="features, in order")
    image: tuple[int, int, int] | None = Field(None, description="channels, height and width of a frame")
    actions: tuple[_Name, ...] = Field(min_length=2, max_length=10_000, description="in order")
    reward_unit: _Name = Field("1", description="1 for none")
    horizon: int | None = Field(None, ge=1, description="steps after which episodes are truncated")
    success_threshold: float | None = Field(None, description="return from which an episode is a success")
    discount: float | None = Field(
        None, gt=0, lt=1, description="what a reward of the next step is worth now"
    )
    reward_scale: float = Field(1.0, gt=0, description="learning divides rewards by it; reports do not")
    cost_terms: tuple[_Term, ...] = Field((), max_length=100, description="names in info, each a number")
    module: str | None = Field(
        None, max_length=200, description="who registers it; imported only when the user names it too"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.observation) == (self.image is not None):
            raise ValueError(
                "Expected either observation, a list of features, or image, the shape of a frame."
            )
        for field, names in (
            ("observation", [feature.name for feature in self.observation]),
            ("actions", list(self.actions)),
            ("cost_terms", list(self.cost_terms)),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{field}: Expected each name once. Received {repeated[0]} again.")
        return self

    def to_frame(self) -> pl.DataFrame:
        """The card in the shape of its contract: one row, lists as JSON."""
        document = self.model_dump(mode="json")
        lists = {
            name: json.dumps(document.pop(name)) for name in ("observation", "image", "actions", "cost_terms")
        }
        return pl.DataFrame([document | lists], schema=_COLUMNS)


_COLUMNS = {
    "id": pl.String,
    "observation": pl.String,
    "image": pl.String,
    "actions": pl.String,
    "reward_unit": pl.String,
    "horizon": pl.Int64,
    "success_threshold": pl.Float64,
    "discount": pl.Float64,
    "reward_scale": pl.Float64,
    "cost_terms": pl.String,
    "module": pl.String,
}


def episodes_contract(cost_terms: Sequence[str]) -> Contract:
    """`agent_episodes` for an environment, with a column of the sum of each cost term."""
    properties = [
        Property(
            name=f"cost_{term}",
            logical_type="number",
            description=f"Sum of {term.replace('_', ' ')} over the episode.",
            required=True,
            unit="reward unit of the environment",
            classification="internal",
        )
        for term in cost_terms
    ]
    return load(OUTPUT_CONTRACT).extended(properties, suffix=f"{len(properties)}-cost-terms")


def read_card(path: Path) -> Card:
    """The card in a YAML or JSON file. Raises RequestError that names the field."""
    document = read_document(path)
    try:
        return Card.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{path.name}: {validation_message(error)}") from error
