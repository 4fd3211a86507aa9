"""Episodes that were played, as tables; and what a policy came across while it played."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.rules import RandomRule
from pipelines.dqn_agent.play import Act, Episodes, Trace, play
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.seeds import Purpose, seed_of
from pipelines.dqn_agent.visited import Recorder, Visited
from shared.errors import RequestError

NETWORK = "network"
# An episode of Atari takes minutes, and a few of them show what is usual.
_MOST_EPISODES_OF_FRAMES = 2


def seen_by(recorder: Recorder, act: Act) -> Act:
    """The same policy, and what it is asked about is noted."""

    def noting(observations: np.ndarray) -> np.ndarray:
        recorder.see(observations)
        return act(observations)

    return noting


def require_registered(card: Card, config: EnvironmentConfig) -> None:
    """Raises RequestError for an environment that only a module of the user's registers: nothing here imports one."""
    if config.module is not None:
        raise RequestError(
            f"{card.id}: Expected an environment that comes with Fieldwork or Gymnasium. It is registered by "
            f"{config.module}, a module that only a run imports: score a table of situations instead."
        )


def visited_in_development(scorer: Scorer) -> Visited:
    """States of the policy on development episodes, within the limits of what random actions come to as well."""
    config, card = scorer.config, scorer.card
    num_episodes, seed = config.evaluation.num_selection_episodes, seed_of(config.seed, Purpose.DEVELOPMENT)
    if card.image is not None:
        num_episodes = min(num_episodes, _MOST_EPISODES_OF_FRAMES)
    greedy, random = Recorder(card), Recorder(card)
    play(seen_by(greedy, scorer.act), card, config.environment, num_episodes, seed)
    if card.image is not None:
        return greedy.visited()
    anything = RandomRule(len(card.actions), seed)
    play(seen_by(random, anything.act), card, config.environment, num_episodes, seed)
    return greedy.visited().joined(random.visited())


def episodes_of(frame: pl.DataFrame, card: Card) -> Episodes:
    """The episodes of one policy from the table that `Episodes.to_frame` made of them."""
    costs = [frame[f"cost_{term}"].to_numpy() for term in card.cost_terms]
    return Episodes(
        seed=int(frame["seed"][0]),
        returns=frame["return"].to_numpy(),
        lengths=frame["length"].to_numpy(),
        terminated=frame["terminated"].to_numpy(),
        truncated=frame["truncated"].to_numpy(),
        costs=np.stack(costs, axis=1) if costs else np.zeros((frame.height, 0)),
    )


def timeline_of(policy: str, trace: Trace) -> pl.DataFrame:
    """One episode, a row for each step; see `evidence.EvidenceDocuments`."""
    observed: Sequence[Sequence[float]] = (
        trace.observations.tolist() if trace.observations.ndim == 2 else [[]] * len(trace.actions)
    )
    columns = {
        "policy": [policy] * len(trace.actions),
        "step": range(len(trace.actions)),
        "observation": observed,
        "action": trace.actions,
        "reward": trace.rewards,
        "costs": trace.costs.tolist(),
        "values": [None] * len(trace.actions) if trace.values is None else trace.values.tolist(),
    }
    return pl.DataFrame(columns, schema=_TIMELINE)


_NUMBERS = pl.List(pl.Float64)
_TIMELINE: Mapping[str, pl.DataType] = {
    "policy": pl.String(),
    "step": pl.Int64(),
    "observation": _NUMBERS,
    "action": pl.Int64(),
    "reward": pl.Float64(),
    "costs": _NUMBERS,
    "values": _NUMBERS,
}
