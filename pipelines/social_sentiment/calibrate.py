"""From logits to probabilities that can be believed, to a label, and to whom a human must read.

Bias-corrected temperature scaling (Alexandari et al. 2020): logits / temperature + one number a label, by maximum
likelihood on posts that were neither learnt from nor tested. With it the correction of shares for other priors is
nearly unbiased. Resamples of the calibration posts are kept, so that later intervals know how well it was calibrated.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from pipelines.social_sentiment.config import DecisionConfig
from shared.errors import RequestError

# As if so many posts more had been seen, spread over all labels: keeps the maximum finite where a label is perfect.
_PRIOR_POSTS = 1.0
_MAX_LOG_TEMPERATURE = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """parameters: float64 (1 + replicates, 1 + K): logarithm of the temperature, and what is added to the logit of each
    label; of all calibration posts first, then of resamples of them. prior: float64 (K,), shares of the labels that the
    probabilities hold for. label_by: see `DecisionConfig`. abstain_below: a post whose label is less sure is left to a
    human. num_posts: calibrated on.
    """

    parameters: np.ndarray
    prior: np.ndarray
    label_by: str
    abstain_below: float
    num_posts: int

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray, config: DecisionConfig, seed: int) -> Self:
        """From calibration posts. logits: (posts, K); labels: int64 (posts,).

        Raises RequestError without a post of each label.
        """
        num_labels = logits.shape[1]
        counts = np.bincount(labels, minlength=num_labels)
        if (counts == 0).any():
            raise RequestError(
                "Expected calibration posts of every label. Received none of some: give more posts."
            )
        wide = logits.astype(np.float64)
        whole = _fitted(wide, labels, np.ones(len(labels)), np.zeros(1 + num_labels))
        random = np.random.default_rng([seed, 1])
        found = [whole]
        for _ in range(config.num_replicates):
            weight = np.bincount(random.integers(len(labels), size=len(labels)), minlength=len(labels))
            found.append(_fitted(wide, labels, weight.astype(np.float64), whole))
        prior = counts / counts.sum()
        fitted = cls(np.stack(found), prior, config.label_by, 0.0, len(labels))
        sure = np.sort(fitted.sureness(fitted.probabilities(wide)))
        below = (
            float(np.quantile(sure, config.abstain_share, method="higher")) if config.abstain_share else 0.0
        )
        return cls(fitted.parameters, prior, config.label_by, below, len(labels))

    @classmethod
    def neutral(cls, num_labels: int) -> Self:
        """Probabilities as a network gives them, for one that is not calibrated yet."""
        return cls(np.zeros((1, 1 + num_labels)), np.full(num_labels, 1 / num_labels), "accuracy", 0.0, 0)

    def probabilities(self, logits: np.ndarray, replicate: int = 0) -> np.ndarray:
        """Of each label, float64 (posts, K); replicate: 0 for the calibration that counts, then resamples of it."""
        scale, bias = self.parameters[replicate, 0], self.parameters[replicate, 1:]
        return np.asarray(softmax(logits * np.exp(-scale) + bias, axis=1))

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """Logits that have these probabilities, float64 (posts, K); which constant a post's had is not in them."""
        scale, bias = self.parameters[0, 0], self.parameters[0, 1:]
        tiny = np.finfo(np.float64).tiny
        return np.asarray((np.log(np.maximum(probabilities, tiny)) - bias) * np.exp(scale))

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Number of the label of each post, int64 (posts,)."""
        return np.asarray(self._weighed(probabilities).argmax(1), np.int64)

    def sureness(self, probabilities: np.ndarray) -> np.ndarray:
        """How sure the label of each post is, from 1 / K to 1, in the sense in which it was chosen."""
        weighed = self._weighed(probabilities)
        return np.asarray(weighed.max(1) / weighed.sum(1))

    def abstains(self, probabilities: np.ndarray) -> np.ndarray:
        """Which posts are left to a human, bool (posts,)."""
        return np.asarray(self.sureness(probabilities) < self.abstain_below)

    def summary(self) -> dict[str, Any]:
        """What a reader wants to know of it, without the resamples. biases: added to the logit of each label."""
        return {
            "temperature": float(np.exp(self.parameters[0, 0])),
            "biases": self.parameters[0, 1:].tolist(),
            "prior": self.prior.tolist(),
            "label_by": self.label_by,
            "abstain_below": self.abstain_below,
            "num_posts": self.num_posts,
            "num_replicates": len(self.parameters) - 1,
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters.tolist(),
            "prior": self.prior.tolist(),
            "label_by": self.label_by,
            "abstain_below": self.abstain_below,
            "num_posts": self.num_posts,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Rebuild. Raises RequestError for other fields."""
        try:
            return cls(
                np.array(fields["parameters"], np.float64),
                np.array(fields["prior"], np.float64),
                str(fields["label_by"]),
                float(fields["abstain_below"]),
                int(fields["num_posts"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(f"Expected the fields of a calibration. Received others: {error}") from error

    def _weighed(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities / self.prior if self.label_by == "recall" else probabilities


def _fitted(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Logarithm of the temperature and biases that make the labels likeliest; biases have mean 0."""
    num_labels = logits.shape[1]
    truth = np.eye(num_labels)[labels]
    total = weight.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale = np.exp(-parameters[0])
        cooled = logits * scale + parameters[1:]
        log_probability = cooled - logsumexp(cooled, axis=1, keepdims=True)
        # the prior: cross-entropy against equal shares, weighed like a few posts, on the biases
        excess = (np.exp(log_probability) - truth) * (weight / total)[:, None]
        penalty = _PRIOR_POSTS / total * parameters[1:]
        gradient = np.concatenate([[-(excess * logits * scale).sum()], excess.sum(0) + penalty])
        value = -(log_probability[np.arange(len(labels)), labels] * weight).sum() / total
        return float(value + 0.5 * (penalty * parameters[1:]).sum()), gradient

    bounds = [(-_MAX_LOG_TEMPERATURE, _MAX_LOG_TEMPERATURE), *[(None, None)] * num_labels]
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
