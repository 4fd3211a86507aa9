"""Agents: the policy beside the rules, an episode to play, one situation, a table of situations, what it does."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import part
from apps.dashboard.components.form import what_if
from apps.dashboard.components.results import results_table
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import scorer
from apps.dashboard.views.agents import decision_in, episode, rules_of, situation_fields
from apps.dashboard.views.agents_results import beside_rules, what_it_does

if TYPE_CHECKING:
    from pipelines.dqn_agent.cards import Card
    from pipelines.dqn_agent.score import Scorer
    from shared.contracts.contract import Contract

_NUM_EXAMPLES = 24


def _card(model: Model) -> "Card":
    from pipelines.dqn_agent.cards import Card

    return Card.model_validate(model.bundle.json("features/card.json"))


def _contract(model: Model) -> "Contract":
    from pipelines.dqn_agent.schema import observations_contract

    return observations_contract(_card(model))


def _example(model: Model, folder: Path) -> Path:
    """States that the policy has visited, far apart in time: those of one day to the next are much alike."""
    from pipelines.dqn_agent.showing import situations

    path = folder / "example_situations.csv"
    situations(scorer(DOMAIN, model), _NUM_EXAMPLES).write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="dqn_agent",
    titles={
        "test/return_iqm": "Return, interquartile mean of the seeds",
        "test/success_rate": "Successful episodes",
        "test/return_mean": "Return, mean",
    },
    example=_example,
    contract=_contract,
)


def main() -> None:
    model = open_page(DOMAIN)
    card = _card(model)
    views = {
        "Beside the rules": lambda: beside_rules(model, key=DOMAIN.key("rules")),
        "An episode": lambda: _episode(model),
    }
    if card.observation:  # a table has no frames
        views |= {"One situation": lambda: _situation(model), "Your situations": lambda: _file(model)}
    views["What it does"] = lambda: what_it_does(model, card.actions, key=DOMAIN.key("does"))
    show_views(views)


@part
def _episode(model: Model) -> None:
    episode(model, scorer(DOMAIN, model), key=DOMAIN.key("episode"))


@part
def _situation(model: Model) -> None:
    """A situation to play with, from the usual one on."""
    from pipelines.dqn_agent.showing import ranges

    policy = scorer(DOMAIN, model)
    found = ranges(policy)
    with st.expander("The situation", expanded=True, icon=":material/tune:"):
        st.caption("To begin with, every feature is at its median over visited states.")
        start = {each.feature.name: each.usual for each in found}
        values = what_if(situation_fields(found), start, key=DOMAIN.key(f"what-if/{model.version}"))
    _decision(model, policy, list(values.values()), key="one")


def _file(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is None:
        return
    decisions = scored.frame()
    st.markdown("##### Decisions")
    st.caption("Choose a row to see why.")
    row = results_table(
        decisions,
        key=DOMAIN.key("results"),
        order=["case_id", "action", "next_action", "advantage", "outside"],
        columns={
            "next_action": st.column_config.TextColumn("next best action"),
            "advantage": st.column_config.NumberColumn("worth more than the next best", format="%.3g"),
            "outside": st.column_config.CheckboxColumn("beyond all that training saw"),
        },
        choose=True,
    )
    if row is not None:
        _chosen(model, scored.source, str(decisions["case_id"][row]))


@part
def _chosen(model: Model, source: Path, case: str) -> None:
    import polars as pl

    from pipelines.dqn_agent.score_table import read_situations
    from shared.contracts.table import check_table

    policy = scorer(DOMAIN, model)
    valid = check_table(read_situations(source, policy.card), _contract(model)).valid
    (observation,) = policy.observations(valid.filter(pl.col("case_id") == case)[:1]).tolist()
    _decision(model, policy, observation, key="chosen")


def _decision(model: Model, policy: "Scorer", observation: list[float], *, key: str) -> None:
    """The decision, beside that of the best rule where its environment can be made here."""
    known = {} if policy.config.environment.module else rules_of(model.digest, policy)
    best = {name: rule for name, rule in known.items() if name == model.metrics["best_rule"]}
    decision_in(model, policy, observation, best, key=DOMAIN.key(key))


if __name__ == "__main__":
    main()
