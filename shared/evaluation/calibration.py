"""Turning scores into probabilities that can be believed. Fitted on validation data only, never on test data.

All methods map logits of shape (n,) to probabilities of the label 1. They are immutable, travel as JSON, and
never reverse a ranking; temperature and Platt scaling keep it strictly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from shared.errors import RequestError
from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray, IntArray
from shared.evaluation.binary import PROBABILITY_FLOOR

# Isotonic regression has as many free steps as the data ask for. Under about a thousand rows it fits their
# noise and loses to two parameters (Niculescu-Mizil and Caruana, "Predicting good probabilities", ICML 2005).
MIN_ISOTONIC_ROWS = 1000
# Per standard deviation of the logits. The lower end keeps the map increasing if the model ranks backwards.
SLOPE_BOUNDS = (1e-3, 1e3)


class TooFewRows(RequestError, ValueError):
    """The method needs more validation rows than there are."""


class Calibration(Protocol):
    """A fitted monotone map from logits to probabilities."""

    method: ClassVar[str]

    def probability(self, logits: ArrayLike) -> FloatArray: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class NoCalibration:
    """The logistic function of the logits as they are."""

    method: ClassVar[str] = "none"

    @classmethod
    def fit(cls, logits: ArrayLike, y: ArrayLike) -> Self:
        _checked(logits, y)
        return cls()

    def probability(self, logits: ArrayLike) -> FloatArray:
        return sigmoid(arrays.scores(logits))

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method}


@dataclass(frozen=True, slots=True)
class TemperatureScaling:
    """probability = sigmoid(logit / temperature): one parameter, for a model that is over- or underconfident.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017.
    """

    temperature: float
    method: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"Expected a temperature above 0. Received {self.temperature!r}.")

    @classmethod
    def fit(cls, logits: ArrayLike, y: ArrayLike) -> Self:
        """Fit by maximum likelihood on Platt's smoothed targets, which keeps separable data finite."""
        slope, _ = _fit_affine(*_checked(logits, y), with_intercept=False)
        return cls(1 / slope)

    def probability(self, logits: ArrayLike) -> FloatArray:
        return sigmoid(arrays.scores(logits) / self.temperature)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """probability = sigmoid(slope * logit + intercept): also moves the base rate.

    Source: Platt 1999, with the numerically safe form of Lin, Lin, Weng 2007.
    """

    slope: float
    intercept: float
    method: ClassVar[str] = "platt"

    def __post_init__(self) -> None:
        if not (np.isfinite([self.slope, self.intercept]).all() and self.slope > 0):
            raise ValueError(f"Expected a slope above 0. Received {self.slope!r}, {self.intercept!r}.")

    @classmethod
    def fit(cls, logits: ArrayLike, y: ArrayLike) -> Self:
        """Fit by maximum likelihood on Platt's smoothed targets; the slope stays above 0 in any case."""
        return cls(*_fit_affine(*_checked(logits, y), with_intercept=True))

    def probability(self, logits: ArrayLike) -> FloatArray:
        return sigmoid(self.slope * arrays.scores(logits) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class IsotonicCalibration:
    """A non-decreasing piecewise linear map through `knots` (logits) and `values` (probabilities).

    Ties within a step are the price of its freedom: rank with the logits, not with these probabilities.
    Values stay 1 / (n + 2) away from 0 and 1, so no future row can cost infinite log loss.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    method: ClassVar[str] = "isotonic"

    def __post_init__(self) -> None:
        shapes_match = len(self.knots) == len(self.values) > 0
        if not shapes_match or not np.isfinite([*self.knots, *self.values]).all():
            raise ValueError("Expected as many finite knots as values, at least one.")
        if (np.diff(self.knots) < 0).any() or (np.diff(self.values) < 0).any():
            raise ValueError("Expected knots and values in ascending order.")
        if min(self.values) < 0 or max(self.values) > 1:
            raise ValueError("Expected values from 0 to 1.")

    @classmethod
    def fit(cls, logits: ArrayLike, y: ArrayLike) -> Self:
        """Fit by pooling adjacent violators. Raises `TooFewRows` under `MIN_ISOTONIC_ROWS`."""
        from scipy.optimize import isotonic_regression

        logit_n, y_n = _checked(logits, y)
        if y_n.size < MIN_ISOTONIC_ROWS:
            raise TooFewRows(
                f"Expected at least {MIN_ISOTONIC_ROWS} validation rows for isotonic calibration. "
                f"Received {y_n.size}: use temperature or Platt scaling."
            )
        knot, position, count = np.unique(logit_n, return_inverse=True, return_counts=True)
        rate = np.bincount(position, y_n) / count
        step = np.asarray(isotonic_regression(rate, weights=count).x)
        step = np.clip(step, 1 / (y_n.size + 2), 1 - 1 / (y_n.size + 2))
        # Only the ends of each flat step matter to the interpolation.
        keep = np.r_[True, (np.diff(step[:-1]) != 0) | (np.diff(step[1:]) != 0), True][: step.size]
        return cls(tuple(knot[keep].tolist()), tuple(step[keep].tolist()))

    def probability(self, logits: ArrayLike) -> FloatArray:
        return np.asarray(np.interp(arrays.scores(logits), self.knots, self.values), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "knots": list(self.knots), "values": list(self.values)}


def calibration_from_json(fields: Mapping[str, Any]) -> Calibration:
    """Rebuild a fitted calibration. Raises ValueError for an unknown method or impossible parameters."""
    method = fields.get("method")
    try:
        if method == NoCalibration.method:
            return NoCalibration()
        if method == TemperatureScaling.method:
            return TemperatureScaling(float(fields["temperature"]))
        if method == PlattScaling.method:
            return PlattScaling(float(fields["slope"]), float(fields["intercept"]))
        if method == IsotonicCalibration.method:
            return IsotonicCalibration(_floats(fields["knots"]), _floats(fields["values"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"Expected the parameters of {method} calibration. Received {fields!r}.") from error
    raise ValueError(f"Expected calibration none, temperature, platt or isotonic. Received {method!r}.")


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return the logistic function without overflow for any finite logit."""
    from scipy.special import expit

    return np.asarray(expit(logits), dtype=np.float64)


def logit(probability: ArrayLike) -> FloatArray:
    """Return log(p / (1 - p)), the inverse of `sigmoid`; p is clipped by `PROBABILITY_FLOOR`."""
    p_n = np.clip(arrays.scores(probability, probability=True), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(np.log(p_n) - np.log1p(-p_n))


def _checked(logits: ArrayLike, y: ArrayLike) -> tuple[FloatArray, IntArray]:
    y_n = arrays.labels(y)
    if y_n.size == 0:
        raise TooFewRows("Expected validation rows to calibrate on. Received none.")
    return arrays.scores(logits, y_n.size), y_n


def _fit_affine(logit_n: FloatArray, y_n: IntArray, *, with_intercept: bool) -> tuple[float, float]:
    """Return the slope and intercept that maximise the likelihood of Platt's targets.

    The targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2) instead of 1 and 0 have a finite optimum even when the
    classes are separable or one is missing. The problem is convex; logits are scaled (and centred, with an
    intercept) so that any unit of the logits is equally well conditioned.
    """
    from scipy.optimize import minimize

    num_positives = int(y_n.sum())
    upper, lower = (num_positives + 1) / (num_positives + 2), 1 / (y_n.size - num_positives + 2)
    target_n = np.where(y_n == 1, upper, lower)
    centre = float(logit_n.mean()) if with_intercept else 0.0
    scale = float(np.sqrt(np.mean((logit_n - centre) ** 2))) or 1.0
    z_n = (logit_n - centre) / scale

    def loss_and_gradient(parameters: FloatArray) -> tuple[float, FloatArray]:
        eta_n = parameters[0] * z_n + parameters[1]
        residual_n = sigmoid(eta_n) - target_n
        loss = float(np.mean(np.logaddexp(0.0, eta_n) - target_n * eta_n))
        intercept_gradient = residual_n.mean() if with_intercept else 0.0
        return loss, np.array([residual_n @ z_n / z_n.size, intercept_gradient])

    bounds = [SLOPE_BOUNDS, (None, None)]
    start = np.array([1.0, 0.0])
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-10}
    fitted = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    slope = float(fitted.x[0]) / scale
    return slope, float(fitted.x[1]) - slope * centre
