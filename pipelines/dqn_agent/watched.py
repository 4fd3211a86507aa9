"""What is watched of every state that a policy decides in, so that another world than it learnt in is noticed."""

import numpy as np
import polars as pl

from pipelines.dqn_agent.score import Scorer


def watched(scorer: Scorer, observations: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """A row for each state, and the value of the action that is taken, float64 (N,), in the unit of the reward.

    Watched are the features, or brightness and contrast of frames, and the action.
    """
    values = scorer.values(observations)
    names = np.array(scorer.card.actions, dtype=object)[values.argmax(1)]
    if observations.ndim == 2:
        columns = {
            feature.name: pl.Series(observations[:, place].astype(np.float64))
            for place, feature in enumerate(scorer.card.observation)
        }
    else:
        pixels = observations.reshape(len(observations), -1) / 255
        columns = {"brightness": pl.Series(pixels.mean(1)), "contrast": pl.Series(pixels.std(1))}
    # names of features are the user's: one may be called action
    return pl.DataFrame({**columns, "taken action": pl.Series(names, dtype=pl.String)}), values.max(1)
