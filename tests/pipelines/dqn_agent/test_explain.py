"""What is said of visited states: every action gets its share, the document is plain, the table adds up."""

import json

import numpy as np
import polars as pl
import pytest

from pipelines.dqn_agent.environments.maintenance import MaintenanceSettings, MaintenanceSimulator
from pipelines.dqn_agent.environments.register import MAINTENANCE
from pipelines.dqn_agent.explain import contrast_of, explain_visited, rows_to_explain
from pipelines.dqn_agent.explainer import Explainer
from shared.publishing.plain import plain


@pytest.fixture(scope="module")
def explained(random_policy):
    scorer, seen = random_policy(MAINTENANCE, steps=200)
    return scorer, seen, *explain_visited(scorer, seen, MaintenanceSimulator(MaintenanceSettings()))


def test_every_action_is_explained_in_as_many_states_as_far_as_there_are():
    chosen = np.array([0] * 900 + [1] * 90 + [2] * 10)
    rows = rows_to_explain(chosen, 60, seed=0)
    assert np.bincount(chosen[rows]).tolist() == [25, 25, 10]
    assert len(set(rows.tolist())) == 60


def test_fewer_states_than_asked_for_are_all_explained():
    assert sorted(rows_to_explain(np.array([0, 1, 0]), 20, seed=0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("decisions", "pair"),
    [
        ([[0, 1]] * 5 + [[2, 0]] * 3 + [[1, 0]], (2, 0)),
        ([[1, 0]] * 4 + [[0, 1]] * 9, (1, 0)),
        ([[1, 2]] * 4 + [[1, 0]], (2, 1)),
    ],
    ids=["three actions", "two actions", "always the same"],
)
def test_the_contrast_is_the_second_most_frequent_action_beside_the_usual_one(decisions, pair):
    assert contrast_of(np.array(decisions)) == pair


def test_the_document_is_plain_values(explained):
    _, _, document, _ = explained
    assert json.loads(json.dumps(plain(document), allow_nan=False)) == plain(document)
    assert {
        "attribution",
        "agreement",
        "contrast",
        "by_action",
        "map",
        "truth",
        "examples",
    } <= document.keys()
    assert document["truth"]["wear"] is not None


def test_states_in_which_nothing_can_be_decided_are_left_out(explained):
    _, seen, document, table = explained
    assert document["states"] == (seen[:, 6] == 0).sum() < len(seen)
    assert (table.filter(pl.col("feature") == "days_standing")["value"] == 0).all()


def test_shares_of_actions_sum_to_one(explained):
    assert sum(explained[2]["actions"].values()) == pytest.approx(1)


def test_the_table_has_each_feature_of_each_state_once_and_divides_its_advantage(explained):
    scorer, seen, document, table = explained
    assert table.height == document["attribution"]["rows"] * len(scorer.card.observation)
    assert not table.select("state", "feature").is_duplicated().any()
    left = seen[seen[:, 6] == 0]
    explainer = Explainer.of(scorer)
    pairs, usual = explainer.decisions(left), scorer.values(explainer.background.numpy()).mean(0)
    values, rows = scorer.values(left), np.arange(len(left))
    moved = values[rows, pairs[:, 0]] - values[rows, pairs[:, 1]] - (usual[pairs[:, 0]] - usual[pairs[:, 1]])
    sums = table.group_by("state").agg(pl.col("contribution").sum()).sort("state")
    np.testing.assert_allclose(sums["contribution"], moved[sums["state"].to_numpy()], atol=1e-4)


def test_examples_name_the_decision_and_their_features_sum_to_it(explained):
    scorer, _, document, _ = explained
    assert document["examples"]
    for example in document["examples"]:
        assert example["advantage"] >= 0
        assert example["action"] != example["other"]
        assert example["values"].keys() == set(scorer.card.actions)
        total = sum(one["contribution"] for one in example["features"])
        assert example["base"] + total == pytest.approx(example["advantage"], abs=1e-3)


def test_the_same_states_are_explained_the_same_again(explained):
    scorer, seen, document, table = explained
    again, same = explain_visited(scorer, seen, MaintenanceSimulator(MaintenanceSettings()))
    assert plain(again) == plain(document)
    assert same.equals(table)


def test_frames_get_pictures_and_no_table(frames_policy):
    scorer, frames = frames_policy
    document, table = explain_visited(scorer, frames)
    assert table.is_empty()
    assert document["map"] is None
    assert 0 < len(document["examples"]) <= 6
    assert json.loads(json.dumps(plain(document), allow_nan=False)) == plain(document)
