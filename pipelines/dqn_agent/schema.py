"""The contracts with the features and actions of an environment filled in."""

from pipelines.dqn_agent.cards import Card
from shared.contracts.contract import Contract, load
from shared.contracts.properties import Property

OBSERVATIONS, DECISIONS = "agent_observations", "agent_decisions"
CASE = "case_id"


def value_column(action: int) -> str:
    """Column of `agent_decisions` with the value of an action, by its number."""
    return f"value_{action}"


def observations_contract(card: Card) -> Contract:
    """`agent_observations` with a column of each feature, within its bounds. Raises RequestError for a taken name."""
    properties = [
        Property(
            name=feature.name,
            logical_type="number",
            description=f"{feature.name.replace('_', ' ')}, as the environment observes it.",
            required=True,
            minimum=feature.low,
            maximum=feature.high,
            unit=feature.unit,
            classification="internal",
        )
        for feature in card.observation
    ]
    return load(OBSERVATIONS).extended(properties, suffix=card.id)


def decisions_contract(card: Card) -> Contract:
    """`agent_decisions` with a column of the value of each action."""
    properties = [
        Property(
            name=value_column(number),
            logical_type="number",
            description=f"Expected discounted return after the action {action}.",
            required=True,
            unit=card.reward_unit,
            classification="internal",
        )
        for number, action in enumerate(card.actions)
    ]
    return load(DECISIONS).extended(properties, suffix=card.id)
