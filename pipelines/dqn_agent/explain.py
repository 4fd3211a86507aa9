"""What explanations say of visited states, how far they can be trusted, and what the policy would do elsewhere.

The explanations themselves are in `explainer`, their checks in `checks` and `truth`, maps of decisions in `maps`.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.checks import checks_of_features, checks_of_frames
from pipelines.dqn_agent.environments.simulator import Simulator
from pipelines.dqn_agent.explainer import Explainer, decides, strongest
from pipelines.dqn_agent.maps import decision_map, map_features
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.truth import against_truth
from shared.interpretability.attribution import Attribution

CLEAR, CLOSE = "clear", "close"
_MOST_EXAMPLES = 6
_MOST_SHOWN = 12
# Each frame is explained with a hundred passes through the convolutions.
_MOST_FRAMES = 12


def explain_visited(
    scorer: Scorer, observations: np.ndarray, truth: Simulator | None = None
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and what each feature adds in the states that were explained.

    observations: visited on test episodes, (N, ...); those in which nothing can be decided are left out. truth: of our
    own two environments. The table has a row for each state and feature: state (number among the observations that are
    left), action, other, feature, value, contribution (to the advantage of the action over the next best), and towards
    (to that of one fixed pair, `contrast`); empty for frames.
    """
    explainer = Explainer.of(scorer)
    observations = observations[decides(scorer.card, observations)]
    decisions = explainer.decisions(observations)
    actions = scorer.card.actions
    counts = np.bincount(decisions[:, 0], minlength=len(actions))
    document: dict[str, Any] = {
        "states": len(observations),
        "actions": dict(zip(actions, (counts / len(decisions)).tolist(), strict=True)),
    }
    if explainer.of_frames:
        return document | _frames(explainer, observations, decisions), pl.DataFrame()
    rows = rows_to_explain(decisions[:, 0], scorer.config.explanation.num_checked, scorer.config.seed)
    found, table = _features(explainer, observations, decisions, rows, truth)
    return document | found, table


def rows_to_explain(chosen: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Places of visited states, int64: of every action that is taken as many, as far as there are, in random order."""
    order = np.random.default_rng([seed, 2]).permutation(len(chosen))
    turn = np.zeros(len(chosen), np.int64)
    for action in np.unique(chosen):
        turn[chosen[order] == action] = np.arange((chosen == action).sum())
    return np.asarray(order[np.argsort(turn, kind="stable")][:size])


def contrast_of(decisions: np.ndarray) -> tuple[int, int]:
    """The second most frequent action and the most frequent one: why is it taken now, and not the usual one?

    With one action alone, that one comes second and its most frequent next best action first.
    """
    taken = np.bincount(decisions[:, 0])
    usual, *others = np.argsort(-taken, kind="stable")
    if not others or not taken[others[0]]:
        return int(np.bincount(decisions[:, 1]).argmax()), int(usual)
    return int(others[0]), int(usual)


def _features(
    explainer: Explainer,
    observations: np.ndarray,
    decisions: np.ndarray,
    rows: np.ndarray,
    truth: Simulator | None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    scorer = explainer.scorer
    seed, card = scorer.config.seed, scorer.card
    seen = explainer.seen(observations[rows], decisions[rows])
    attribution = explainer.explain(seen)
    pair = contrast_of(decisions)
    towards = explainer.explain(explainer.seen(observations[rows], pair))
    chosen = map_features(card, scorer.config.explanation, attribution.importance())
    document = checks_of_features(explainer, attribution, seen, seed=seed) | {
        "contrast": {"action": card.actions[pair[0]], "other": card.actions[pair[1]]},
        "by_action": _by_action(explainer, attribution, decisions[rows, 0]),
        "map": None if chosen is None else decision_map(scorer, observations, chosen),
        "truth": None if truth is None else against_truth(explainer, truth, pair, seed=seed),
        "examples": _examples(explainer, observations, decisions),
    }
    return document, _table(explainer, observations, decisions, rows, attribution, towards)


def _frames(explainer: Explainer, observations: np.ndarray, decisions: np.ndarray) -> dict[str, Any]:
    rows = rows_to_explain(
        decisions[:, 0],
        min(_MOST_FRAMES, explainer.scorer.config.explanation.num_checked),
        explainer.scorer.config.seed,
    )
    seen = explainer.seen(observations[rows], decisions[rows])
    activation = explainer.evidence(seen)
    examples = [
        {
            **_words(explainer, decisions[row], float(advantage)),
            "picture": _picture(observations[row]),
            "evidence": np.round(raw.clip(min=0), 6).tolist(),
            "negative_share": float(negative),
        }
        for row, advantage, raw, negative in zip(
            rows, activation.output, activation.raw, activation.negative_share, strict=True
        )
    ]
    checked = checks_of_frames(explainer, activation, seen, seed=explainer.scorer.config.seed)
    return checked | {
        "contrast": None,
        "by_action": [],
        "map": None,
        "truth": None,
        "examples": examples[:_MOST_EXAMPLES],
    }


def _by_action(explainer: Explainer, attribution: Attribution, chosen: np.ndarray) -> list[dict[str, Any]]:
    """Of each action that is taken: in how many explained states, and the mean contribution of each feature."""
    return [
        {
            "action": explainer.card.actions[action],
            "states": int((chosen == action).sum()),
            "contributions": dict(
                zip(explainer.names, attribution.values[chosen == action].mean(0).tolist(), strict=True)
            ),
        }
        for action in np.unique(chosen)
    ]


def _examples(explainer: Explainer, observations: np.ndarray, decisions: np.ndarray) -> list[dict[str, Any]]:
    """Decisions to show: of the actions taken most often the clearest one each, then the closest ones."""
    values = explainer.scorer.values(observations)
    every = np.arange(len(values))
    advantages = values[every, decisions[:, 0]] - values[every, decisions[:, 1]]
    taken = np.bincount(decisions[:, 0])
    frequent = [action for action in np.argsort(-taken, kind="stable") if taken[action]][
        : _MOST_EXAMPLES // 2
    ]
    clearest = [int(np.where(decisions[:, 0] == action, advantages, -np.inf).argmax()) for action in frequent]
    closest = _closest(advantages, decisions, _MOST_EXAMPLES - len(clearest))
    shown = [(CLEAR, row) for row in clearest] + [(CLOSE, row) for row in closest if row not in clearest]
    return [_example(explainer, observations[row], decisions[row], values[row], kind) for kind, row in shown]


def _closest(advantages: np.ndarray, decisions: np.ndarray, most: int) -> list[int]:
    """Decisions that were nearly others, of each pair of actions one; states in which all actions are alike decide
    nothing and are left out."""
    counts = np.flatnonzero(advantages > 1e-3 * np.median(advantages))
    found: dict[tuple[int, int], int] = {}
    for row in counts[np.argsort(advantages[counts], kind="stable")]:
        found.setdefault((int(decisions[row, 0]), int(decisions[row, 1])), int(row))
    return list(found.values())[:most]


def _example(
    explainer: Explainer, observation: np.ndarray, decision: np.ndarray, values: np.ndarray, kind: str
) -> dict[str, Any]:
    found = explainer.explain(explainer.seen(observation[None], decision[None]))
    assert found.output is not None
    assert isinstance(found.base_value, np.ndarray)
    return {
        **_words(explainer, decision, float(found.output[0])),
        "kind": kind,
        "base": float(found.base_value[0]),
        "values": dict(zip(explainer.card.actions, values.tolist(), strict=True)),
        "features": strongest(explainer.card, observation, found.values[0], _MOST_SHOWN),
    }


def _words(explainer: Explainer, decision: Sequence[int] | np.ndarray, advantage: float) -> dict[str, Any]:
    action, other = (explainer.card.actions[number] for number in decision)
    return {"action": action, "other": other, "advantage": advantage}


def _picture(frames: np.ndarray) -> str:
    """The newest of stacked grey frames as a PNG, base64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frames[-1]).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _table(
    explainer: Explainer,
    observations: np.ndarray,
    decisions: np.ndarray,
    rows: np.ndarray,
    attribution: Attribution,
    towards: Attribution,
) -> pl.DataFrame:
    names, actions = explainer.names, np.array(explainer.card.actions, dtype=object)
    return pl.DataFrame(
        {
            "state": np.repeat(rows, len(names)),
            "action": np.repeat(actions[decisions[rows, 0]], len(names)).tolist(),
            "other": np.repeat(actions[decisions[rows, 1]], len(names)).tolist(),
            "feature": list(names) * len(rows),
            "value": observations[rows].astype(np.float64).ravel(),
            "contribution": attribution.values.ravel(),
            "towards": towards.values.ravel(),
        }
    )
