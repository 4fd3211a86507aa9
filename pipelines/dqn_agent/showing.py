"""What people look at to understand a policy: an episode step by step beside a rule, and one decision with its reasons.

Worlds to look at are of their own: neither learning nor the test has met them.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import Feature
from pipelines.dqn_agent.environments.rules import Rule, fit_rules
from pipelines.dqn_agent.explainer import Explainer, decides, strongest
from pipelines.dqn_agent.film import film_of
from pipelines.dqn_agent.play import record
from pipelines.dqn_agent.playing import NETWORK, require_registered, timeline_of
from pipelines.dqn_agent.schema import CASE
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.seeds import Purpose, seed_of

MOST_STEPS = 400
_LARGEST_EDGE, _COLOURS = 320, 64


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """timeline: steps of the network and of the rule in the same world, see `playing.timeline_of`. frames: a PNG of
    each step of the network, and the film of them; none where the environment draws nothing. earned: sum of the rewards
    by policy."""

    timeline: pl.DataFrame
    frames: list[bytes]
    film: bytes | None

    @property
    def earned(self) -> dict[str, float]:
        found = self.timeline.group_by("policy", maintain_order=True).agg(pl.col("reward").sum())
        return dict(found.iter_rows())


@dataclass(frozen=True, slots=True)
class Decision:
    """Why one action and not another in one state, in the unit of the reward.

    advantage: value of `action` less that of `other`; base: its mean over visited states. values: by action.
    features: see `explainer.strongest`, all of them; empty for frames. outside: beyond all that was visited. decides:
    whether an action has an effect here.
    """

    action: str
    other: str
    advantage: float
    base: float
    values: dict[str, float]
    features: list[dict[str, str | float]]
    outside: bool
    decides: bool


@dataclass(frozen=True, slots=True)
class Range:
    """What a feature can be set to. usual: its median over visited states; whole: only integers were visited."""

    feature: Feature
    low: float
    high: float
    usual: float
    whole: bool


def rules_beside(scorer: Scorer) -> dict[str, Rule]:
    """The rules of thumb with the numbers of the run, by name, the strongest last; random actions where none is known.

    Takes seconds. Raises RequestError for an environment that only a module of a user's registers.
    """
    card, config = scorer.card, scorer.config
    require_registered(card, config.environment)
    found = fit_rules(card.id, config.environment, seed_of(config.seed, Purpose.RULES))
    return {rule.name: rule for rule in (found[1:] or found)}


def show_world(scorer: Scorer, rule: Rule, world: int) -> Shown:
    """One episode of the policy and of a rule in the same world, or its first steps. world: from 1, any number.

    Raises RequestError for an environment that only a module of a user's registers.
    """
    card, environment = scorer.card, scorer.config.environment
    require_registered(card, environment)
    seed = seed_of(scorer.config.seed, Purpose.LOOKING, world)
    mine = record(scorer.act, scorer.values, card, environment, seed, MOST_STEPS)
    theirs = record(rule.act, None, card, environment, seed, MOST_STEPS)
    timeline = pl.concat([timeline_of(NETWORK, mine), timeline_of(rule.name, theirs)])
    return Shown(timeline, [_png(frame) for frame in mine.frames], film_of(mine.frames))


def decide_in(scorer: Scorer, observation: Sequence[float], other: str | None = None) -> Decision:
    """What the policy does in one state and why; `other`: instead of which action, by default the next best.

    observation: features in the order of the card.
    """
    card, explainer = scorer.card, Explainer.of(scorer)
    state = np.asarray([observation], dtype=np.float32)
    values = scorer.values(state)[0]
    best, second = explainer.decisions(state)[0].tolist()
    against = second if other in (None, card.actions[best]) else card.actions.index(str(other))
    found = explainer.explain(explainer.seen(state, (best, against)))
    assert isinstance(found.base_value, np.ndarray)
    assert scorer.visited is not None, "explanations compare with visited states"
    return Decision(
        action=card.actions[best],
        other=card.actions[against],
        advantage=float(values[best] - values[against]),
        base=float(found.base_value[0]),
        values=dict(zip(card.actions, values.tolist(), strict=True)),
        features=strongest(card, state[0], found.values[0], len(card.observation)),
        outside=bool(scorer.visited.outside(state)[0]),
        decides=bool(decides(card, state)[0]),
    )


def action_of(scorer: Scorer, rule: Rule, observation: Sequence[float]) -> str:
    """What a rule does in one state."""
    state = np.asarray([observation], dtype=np.float32)
    return scorer.card.actions[int(rule.act(state)[0])]


def ranges(scorer: Scorer) -> list[Range]:
    """Of each feature: half as far again as what was visited, within what the card allows."""
    assert scorer.visited is not None, "agents that are published know where they have been"
    states, low, high = scorer.visited.states, scorer.visited.low, scorer.visited.high
    usual, room = np.median(states, axis=0), (high - low) / 2
    whole = (states == np.round(states)).all(0)
    room = np.where(whole, np.ceil(room), room)
    return [
        Range(
            feature=feature,
            low=max(float(low[place] - room[place]), -np.inf if feature.low is None else feature.low),
            high=min(float(high[place] + room[place]), np.inf if feature.high is None else feature.high),
            usual=float(usual[place]),
            whole=bool(whole[place]),
        )
        for place, feature in enumerate(scorer.card.observation)
    ]


def situations(scorer: Scorer, num: int) -> pl.DataFrame:
    """So many visited states as a table of `agent_observations`, evenly over those that are known."""
    assert scorer.visited is not None, "agents that are published know where they have been"
    states = scorer.visited.states
    chosen = states[np.linspace(0, len(states) - 1, min(num, len(states))).round().astype(np.int64)]
    columns: Mapping[str, np.ndarray] = {
        feature.name: chosen[:, place].astype(np.float64)
        for place, feature in enumerate(scorer.card.observation)
    }
    return pl.DataFrame({CASE: [f"case-{number + 1}" for number in range(len(chosen))], **columns})


def _png(frame: np.ndarray) -> bytes:
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((_LARGEST_EDGE, _LARGEST_EDGE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.quantize(_COLOURS).save(buffer, format="PNG")
    return buffer.getvalue()
