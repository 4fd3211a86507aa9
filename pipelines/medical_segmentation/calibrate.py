"""What is fixed on cases that are neither learnt from nor tested: probabilities, and which cases a human must see."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize_scalar

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.inference import Predictor

# Pixels drawn from each case: neighbours say the same.
_PIXELS_A_CASE = 2000
_TEMPERATURES = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """temperature: logits are divided by it (Guo et al. 2017). refer_below: cases less sure than this go to a human;
    num_cases: that both were taken from."""

    temperature: float
    refer_below: float
    num_cases: int

    @classmethod
    def fit(
        cls,
        predictor: Predictor,
        cases: Cases,
        chosen: np.ndarray,
        transfers: np.ndarray,
        refer_share: float,
        seed: int,
    ) -> Self:
        """From `chosen` cases with masks; refer_share: of cases like them, least sure first."""
        drawn = list(_drawn_pixels(predictor, cases, chosen, transfers, seed))
        logits, truth = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        temperature = _temperature(logits, truth)
        fitted = Predictor(predictor.network, predictor.patch, predictor.config, temperature)
        confidence = [
            fitted.find(cases.image(case), transfers[case], cases.frames[case]).confidence.min()
            for case in chosen
        ]
        # a case is referred below the threshold, so the lowest of those that are kept is the threshold
        refer_below = float(np.quantile(confidence, refer_share, method="higher")) if refer_share else 0.0
        return cls(temperature, refer_below, len(chosen))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _drawn_pixels(
    predictor: Predictor, cases: Cases, chosen: np.ndarray, transfers: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits (pixels, K) and numbers of structures (pixels,) of each case, drawn evenly."""
    random = np.random.default_rng(seed)
    for case in chosen:
        logits = predictor.logits(cases.image(case), transfers[case]).flatten(1).T.numpy()
        places = random.choice(len(logits), min(len(logits), _PIXELS_A_CASE), replace=False)
        yield logits[places], cases.mask(case).reshape(-1)[places]


def _temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The one that makes the truth likeliest."""
    wide = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        cooled = wide / np.exp(log_temperature)
        largest = cooled.max(axis=1)
        total = largest + np.log(np.exp(cooled - largest[:, None]).sum(axis=1))
        return float((total - cooled[np.arange(len(truth)), truth]).mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
