"""The page of agents as a planner uses it who has a rule of thumb."""

import json

import pytest

from pipelines.dqn_agent.showing import MOST_STEPS

RULES, EPISODE, ONE, OWN, DOES = (
    "Beside the rules",
    "An episode",
    "One situation",
    "Your situations",
    "What it does",
)
BEST_RULE = "Rule: forecast cover by age"


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """An episode is as long as it has to be to see something."""
    import pipelines.dqn_agent.showing as showing

    assert showing.MOST_STEPS == MOST_STEPS
    monkeypatch.setattr(showing, "MOST_STEPS", 40)


def frames(page):
    return " ".join(each.proto.body for each in page.get("html"))


def figures(page):
    return [json.loads(each.proto.spec) for each in page.get("plotly_chart")]


def titles(page):
    return [figure["layout"]["title"]["text"] for figure in figures(page)]


def scored(open_page, table, name="new.csv"):
    page = open_page("dqn_agent", view=OWN)
    page.file_uploader(key="dqn_agent/upload").set_value((name, table, "text/csv")).run()
    return page.button(key="dqn_agent/score").click().run()


def situations(open_page, home_of):
    """Situations in the contract's columns, from the card of the published model."""
    import polars as pl

    [card] = home_of("dqn_agent").glob("artifacts/bundles/*/*/features/card.json")
    names = [feature["name"] for feature in json.loads(card.read_text())["observation"]]
    return pl.DataFrame({"case_id": ["monday", "tuesday"]} | {name: [3.0, 12.0] for name in names})


def test_the_networks_stand_beside_every_rule_with_intervals(open_page):
    page = open_page("dqn_agent")
    assert not page.exception
    assert "beat our rule of thumb" in page.markdown[0].value
    differences, curve, costs = figures(page)
    rivals = {name for trace in differences["data"] for name in trace.get("y", [])}
    assert "Forecast cover by age" in rivals
    assert "Random" not in rivals
    assert {"single seeds", "95 % interval"} <= {trace["name"] for trace in curve["data"]}
    assert "EUR" in curve["layout"]["yaxis"]["title"]["text"]
    assert len(costs["data"]) == 2
    policies = list(page.dataframe[0].value["policy"])
    assert policies[0] == "Networks, interquartile mean"
    assert "Seed 0" in policies
    assert BEST_RULE in policies


def test_an_episode_is_played_beside_the_rule_and_every_step_has_its_reasons(open_page):
    page = open_page("dqn_agent", view=EPISODE)
    assert not page.exception
    assert BEST_RULE in frames(page)
    assert "the first 40 steps" in frames(page)
    timeline, why, values = figures(page)
    assert timeline["data"]
    assert why["layout"]["title"]["text"].startswith("Why order")
    assert len(values["data"][0]["y"]) == 11
    before = next(text.value for text in page.text if "is said to be worth" in text.value)
    page.slider(key="dqn_agent/episode/step/1").set_value(3).run()
    assert not page.exception
    after = next(text.value for text in page.text if "is said to be worth" in text.value)
    assert before != after


def test_another_world_is_another_episode(open_page):
    page = open_page("dqn_agent", view=EPISODE)
    first = frames(page)
    page.number_input(key="dqn_agent/episode/world").set_value(7).run()
    assert not page.exception
    assert frames(page) != first


def test_any_action_can_be_asked_about(open_page):
    page = open_page("dqn_agent", view=ONE)
    [asked] = [box for box in page.selectbox if box.label.endswith("why not")]
    other = asked.options[-1]
    asked.set_value(other).run()
    assert not page.exception
    assert any(title.endswith(f"and not {other}") for title in titles(page))


def test_a_situation_beyond_all_that_was_seen_is_warned_of(open_page):
    page = open_page("dqn_agent", view=ONE)
    assert not page.exception
    assert BEST_RULE in frames(page)
    for slider in page.slider:
        slider.set_value(slider.max)
    page.run()
    assert not page.exception
    assert any("beyond all that training saw" in warning.value for warning in page.warning)


def test_a_table_of_situations_is_decided(open_page, home_of):
    page = scored(open_page, situations(open_page, home_of).write_csv().encode())
    assert not page.exception
    assert not page.error
    decisions = page.dataframe[-1].value
    assert list(decisions["case_id"]) == ["monday", "tuesday"]
    assert all(action.startswith("order") for action in decisions["action"])


@pytest.mark.parametrize("values", [-5.0, 1e9], ids=["negative stock", "more than the shop holds"])
def test_situations_beyond_the_card_are_refused_feature_by_feature(open_page, home_of, values):
    import polars as pl

    broken = situations(open_page, home_of).with_columns(stock_for_1_day=pl.lit(values))
    page = scored(open_page, broken.write_csv().encode())
    assert not page.exception
    assert "Expected at most" in page.error[0].value
    assert list(page.dataframe[-1].value["column"]) == ["stock_for_1_day"]


def test_reasons_that_failed_their_check_carry_the_warning(open_page, failed_explanation):
    page = open_page("dqn_agent", view=ONE)
    assert any("Not faithful" in error.value for error in page.error)


def test_actions_are_shown_in_the_order_of_the_card_with_the_map(open_page):
    page = open_page("dqn_agent", view=DOES)
    assert not page.exception
    taken, *_, plane = figures(page)
    assert taken["data"][0]["y"][1:3] == ["order 1 lot", "order 2 lots"]
    assert titles(page)[-1] == "What it would do"
    assert len(plane["data"]) == 2


def test_an_environment_that_cannot_be_made_here_is_said_in_one_line(open_page, monkeypatch):
    import streamlit as st

    from shared.errors import RequestError

    def refuse(card, config):
        raise RequestError("Only a module of yours makes it.")

    st.cache_resource.clear()
    monkeypatch.setattr("pipelines.dqn_agent.showing.require_registered", refuse)
    page = open_page("dqn_agent", view=EPISODE)
    assert not page.exception
    [error] = page.error
    assert "Only a module of yours makes it" in error.value
