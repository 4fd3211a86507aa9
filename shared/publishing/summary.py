"""The one JSON object that describes a run: what `run --json` writes and apps, registry and report read."""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from shared.publishing.plain import plain


def _finite_or_none(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value  # pydantic judges these: a string is not a number
    number = float(value)
    return number if math.isfinite(number) else None


Number = Annotated[float | None, BeforeValidator(_finite_or_none)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(/[A-Za-z0-9_.@-]+)+$", max_length=200)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    @classmethod
    def out_of(cls, document: Mapping[str, Any]) -> Self:
        """The record from a document that holds more, such as `FitResult.to_json()` for the training."""
        return cls.model_validate({name: document[name] for name in cls.model_fields if name in document})


class MetricValue(_Record):
    """A number that can be defended: with its 95 % interval, unit, direction and size of the sample.

    Accepts the JSON form or any result with `to_json()`. A value that could not be computed is null.
    """

    value: Number = Field(description="point estimate in `unit`; null when it is not defined")
    low: Number = Field(default=None, description="lower end of the 95 % interval, same unit")
    high: Number = Field(default=None, description="upper end of the 95 % interval, same unit")
    unit: str = Field(default="", description="empty for a pure number")
    higher_is_better: bool | None = Field(description="direction; null when neither direction is better")
    n: int = Field(ge=0, description="number of independent units behind the value")
    reason: str = Field(
        default="", exclude_if=lambda text: not text, description="why the value is not defined"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_result(cls, value: Any) -> Any:
        return value.to_json() if callable(getattr(value, "to_json", None)) else value

    @model_validator(mode="after")
    def _ordered(self) -> "MetricValue":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"Expected low <= high. Received {self.low} > {self.high}.")
        return self


class ExplanationSummary(_Record):
    """Which explanation was shown and whether it passed its checks."""

    method: str
    completeness_error: Number = Field(default=None, description="largest gap between sum and output")
    faithful: bool | None = Field(default=None, description="null when the check could not be run")


class PublishedModel(_Record):
    """Where the model went."""

    name: str
    version: int | None = Field(default=None, description="registry version; null before registration")
    promoted: bool = Field(default=False, description="whether scoring uses it now")
    bundle: str = Field(description="path or URL of the bundle")


class TrainingSummary(_Record):
    """What training cost."""

    device: str
    samples_per_second: Number = None
    epochs: int | None = Field(default=None, ge=0, description="null where nothing is learnt in epochs")
    seconds: Number


Metrics = dict[MetricName, MetricValue]


class RunSummary(_Record):
    """Result of one run of one pipeline. Steps fill it as they finish with `model_copy(update=...)`.

    `metrics` and each of `baselines` name the part in front: `test/roc_auc`. Unknown fields are refused, so
    that a misspelt one is noticed where it is written and not where it is missing.
    """

    pipeline: str
    run_id: str = Field(default="", description="id of the tracked run; empty until it is logged")
    preset: str
    source: str = Field(description="synthetic, the name of a public data set, or a path")
    contract: str = Field(description="id@version of the input contract")
    rows: dict[str, int] = Field(description="counts: in, quarantined, train, validation, test")
    metrics: Metrics
    baselines: dict[str, Metrics] = Field(default_factory=dict)
    verdict: str = Field(description="does the network beat the baselines, by how much, outside noise?")
    explanation: ExplanationSummary | None = None
    model: PublishedModel | None = None
    training: TrainingSummary | None = None
    seconds: dict[str, Number] = Field(default_factory=dict, description="wall seconds of each step")
    report: str | None = Field(default=None, description="path of the HTML report")

    def to_json(self) -> dict[str, Any]:
        """The object of `run --json`: plain values, never NaN."""
        result: dict[str, Any] = plain(self.model_dump(mode="json"))
        return result


def headlines_first(
    metrics: Mapping[str, Any], headlines: Iterable[str], part: str = "test"
) -> dict[str, Any]:
    """Metrics by name, `test/roc_auc`, in the order of `headlines`, `roc_auc`; all others follow as they are."""
    first = [f"{part}/{name}" for name in headlines if f"{part}/{name}" in metrics]
    return {name: metrics[name] for name in dict.fromkeys([*first, *metrics])}
