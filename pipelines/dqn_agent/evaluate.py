"""The protocol: what networks of several seeds and the rules came to in the same worlds, which none had met before.

The headline is the interquartile mean over seeds of the mean return (Agarwal et al. 2021): what learning usually ends
with, neither its luckiest nor its unluckiest seed. Intervals draw both seeds and worlds anew; networks and rules are
compared on the worlds that were drawn.

Shapes: S seeds, E episodes, R resamples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.play import Episodes
from shared.evaluation.bootstrap import interval
from shared.evaluation.compare import Comparison, from_replicates
from shared.evaluation.metric import Metric
from shared.evaluation.verdict import verdict

_FEW_SEEDS = 5


def evaluation_document(
    card: Card,
    networks: Mapping[int, Episodes],
    rules: Mapping[str, Episodes],
    descriptions: Mapping[str, str],
    selection: Mapping[int, float],
    curves: pl.DataFrame,
    config: AgentConfig,
) -> dict[str, Any]:
    """All numbers of a run, as plain values.

    networks: test episodes by seed. rules: by name, in the same worlds. selection: mean return of each seed on
    development episodes, which alone chooses the seed that is served. curves: see `train.Learnt`.
    """
    drawn = _Drawn(len(networks), config.evaluation.num_episodes, config)
    returns = np.stack([each.returns for each in networks.values()])
    metrics = _metrics(card, list(networks.values()), drawn)
    baselines = {name: _metrics(card, [each], drawn) for name, each in rules.items()}
    comparisons = {name: _comparison(returns, each.returns, drawn) for name, each in rules.items()}
    best = max(rules, key=lambda name: float(rules[name].returns.mean()))
    label = f"return, interquartile mean of {len(networks)} seeds,"
    said = verdict("The network", metrics["test/return_iqm"], comparisons, metric_label=label)
    served = max(selection, key=selection.__getitem__)
    solved_at = card.success_threshold if config.evaluation.solved_at is None else config.evaluation.solved_at
    return {
        "metrics": {name: metric.to_json() for name, metric in metrics.items()},
        "seeds": [
            _of_seed(card, seed, each, drawn, solved_at, selected=seed == served)
            for seed, each in networks.items()
        ],
        "baselines": {
            name: {metric: found.to_json() for metric, found in each.items()}
            for name, each in baselines.items()
        },
        "descriptions": dict(descriptions),
        "best_rule": best,
        "difference": comparisons[best].to_json(),
        "differences": {name: each.to_json() for name, each in comparisons.items()},
        "verdict": said.to_json(),
        "curve": _curve(curves, float(rules[best].returns.mean()), config),
        "notes": _notes(networks, selection, solved_at),
    }


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis without the lowest and the highest quarter; one counts in part where a quarter ends
    within it."""
    ordered = np.sort(values, axis=-1)
    num = ordered.shape[-1]
    places = np.arange(num)
    weight = np.clip(np.minimum(places + 1 - num / 4, 3 * num / 4 - places), 0, 1)
    found: np.ndarray = (ordered * weight).sum(-1) / weight.sum()
    return found


class _Drawn:
    """Seeds and worlds that the resamples draw, the same for everything that is compared.

    seeds: int64 (R, S), places. worlds: float64 (R, E), how often each is drawn as a share.
    """

    def __init__(self, num_seeds: int, num_worlds: int, config: AgentConfig) -> None:
        generator = np.random.default_rng([config.seed, num_seeds])
        num = config.evaluation.num_bootstraps
        self.seeds = generator.integers(num_seeds, size=(num, num_seeds))
        worlds = generator.integers(num_worlds, size=(num, num_worlds))
        self.worlds = np.stack([np.bincount(each, minlength=num_worlds) for each in worlds]) / num_worlds

    def means(self, values: np.ndarray) -> np.ndarray:
        """(seeds, E) -> mean of each seed over drawn worlds, of drawn seeds where there are several, (R, seeds)."""
        means = self.worlds @ values.T
        return means if len(values) == 1 else np.take_along_axis(means, self.seeds, axis=1)


def _metrics(card: Card, played: list[Episodes], drawn: _Drawn) -> dict[str, Metric]:
    def measured(name: str, parts: list[np.ndarray], unit: str, *, higher: bool, iqm: bool = False) -> Metric:
        values = np.stack(parts).astype(np.float64)
        drawn_means = drawn.means(values)
        value = interquartile_mean(values.mean(1)) if iqm else values.mean()
        replicates = interquartile_mean(drawn_means) if iqm else drawn_means.mean(1)
        low, high = interval(float(value), replicates)
        bounds = min(low, float(value)), max(high, float(value))
        return Metric(name, float(value), *bounds, unit, higher, len(played))

    unit = "" if card.reward_unit == "1" else card.reward_unit
    returns = [each.returns for each in played]
    found = [
        measured("test/return_iqm", returns, unit, higher=True, iqm=True),
        measured("test/return_mean", returns, unit, higher=True),
    ]
    if card.success_threshold is not None:
        reached = [each.returns >= card.success_threshold for each in played]
        found.append(measured("test/success_rate", reached, "", higher=True))
    found.append(measured("test/length_mean", [each.lengths for each in played], "steps", higher=True))
    for place, term in enumerate(card.cost_terms):
        costs = [each.costs[:, place] for each in played]
        found.append(measured(f"test/cost_{term}_mean", costs, unit, higher=False))
    return {metric.name: metric for metric in found}


def _comparison(networks: np.ndarray, rule: np.ndarray, drawn: _Drawn) -> Comparison:
    """The networks less a rule, in the same worlds."""
    difference = float(interquartile_mean(networks.mean(1)) - rule.mean())
    replicates = interquartile_mean(drawn.means(networks)) - drawn.means(rule[None])[:, 0]
    return from_replicates("test/return_iqm", difference, replicates, len(networks))


def _of_seed(
    card: Card, seed: int, played: Episodes, drawn: _Drawn, solved_at: float | None, *, selected: bool
) -> dict[str, Any]:
    metrics = _metrics(card, [played], drawn)
    mean, reached = metrics["test/return_mean"], metrics.get("test/success_rate")
    return {
        "seed": seed,
        "return_mean": mean.to_json(),
        "success_rate": None if reached is None else reached.value,
        "solved": None if solved_at is None else mean.value >= solved_at,
        "selected": selected,
    }


def _curve(curves: pl.DataFrame, rule: float, config: AgentConfig) -> dict[str, Any]:
    """What development episodes came to over the steps; the interval draws seeds anew."""
    wide = curves.pivot("seed", index="steps", values="return_mean").sort("steps")
    values = wide.drop("steps").to_numpy()
    num_seeds = values.shape[1]
    generator = np.random.default_rng([config.seed, num_seeds])
    drawn = generator.integers(num_seeds, size=(config.evaluation.num_bootstraps, num_seeds))
    replicates = interquartile_mean(values[:, drawn])
    low, high = np.quantile(replicates, [0.025, 0.975], axis=1)
    return {
        "steps": wide["steps"].to_list(),
        "iqm": interquartile_mean(values).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "seeds": {int(name): wide[name].to_list() for name in wide.columns if name != "steps"},
        "rule": rule,
    }


def _notes(
    networks: Mapping[int, Episodes], selection: Mapping[int, float], solved_at: float | None
) -> list[str]:
    notes = []
    if len(networks) < _FEW_SEEDS:
        notes.append(
            f"{len(networks)} seeds learnt. With fewer than {_FEW_SEEDS} the interval between seeds says little."
        )
    if solved_at is not None:
        failed = [seed for seed, each in networks.items() if each.returns.mean() < solved_at]
        if failed:
            listed = ", ".join(map(str, failed))
            notes.append(f"Mean return below {solved_at:g} with seed {listed}.")
    worst, best = min(selection.values()), max(selection.values())
    if worst < 0.8 * best and best > 0:
        notes.append(
            "One seed ends far below another: learn longer, or with more exploration, before it is used."
        )
    return notes
