"""How rewards, features and decisions are written where people read them."""

from collections.abc import Mapping
from typing import Any

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import AgentConfig
from shared.publishing.blocks import show

READERS = (
    "For planners of stock and maintenance, operations researchers and engineers of reinforcement learning who have a "
    "rule of thumb and ask whether a learnt policy is worth more."
)


def unit_of(card: Card) -> str:
    """Of rewards; nothing for numbers without a unit."""
    return "" if card.reward_unit == "1" else card.reward_unit


def with_unit(title: str, unit: str) -> str:
    """`Return, EUR`; without a unit, or with that of plain numbers, the title alone."""
    return title if unit in ("", "1") else f"{title}, {unit}"


def amount(value: float, unit: str = "", digits: int | None = None) -> str:
    """A number with its unit, `3.2 EUR`."""
    text = show(float(value), digits)
    return text if unit in ("", "1") else f"{text} {unit}"


def signed(value: float, digits: int = 2) -> str:
    """A contribution, `+1.20`."""
    return f"{value:+.{digits}f}".replace("-", "−")


def networks(config: AgentConfig) -> str:
    """`5 networks`."""
    return "1 network" if config.num_seeds == 1 else f"{config.num_seeds} networks"


def words(name: str) -> str:
    """`stock_for_1_day` as `stock for 1 day`."""
    return name.replace("_", " ")


def share(value: float | None, digits: int = 1) -> str:
    """A share as `12.3 %`; an en dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def decision_title(example: Mapping[str, Any]) -> str:
    """What was decided, and instead of what."""
    return f"Why {example['action']} and not {example['other']}"


def decision_sentence(example: Mapping[str, Any], unit: str) -> str:
    """What a decision is worth, and what speaks for and against it. example: see `explain.explain_visited`."""
    reasons = {
        "speaks for it": [one for one in example["features"] if one["contribution"] > 0],
        "speaks against it": [one for one in example["features"] if one["contribution"] < 0],
    }
    parts = [
        f"{title}: {', '.join(feature_text(one) for one in found[:3])}"
        for title, found in reasons.items()
        if found
    ]
    advantage = amount(example["advantage"], unit, 2)
    worth = (
        f"{example['action']} is said to be worth {advantage} more than {example['other']}, on average over visited "
        f"states {amount(example['base'], unit, 2)}."
    )
    return f"{worth[:1].upper()}{worth[1:]} What most {'; what most '.join(parts)}." if parts else worth


def feature_text(feature: Mapping[str, Any]) -> str:
    """`load (0.3, +1.20)`."""
    value = amount(feature["value"], feature["unit"])
    return f"{words(feature['name'])} ({value}, {signed(feature['contribution'])})"
