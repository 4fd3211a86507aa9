"""What the networks promise by construction holds for any weights, not only for trained ones."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.config import ModelConfig, tiny
from pipelines.credit_scoring.features import Features
from pipelines.credit_scoring.generator import SCHEMA, generate
from pipelines.credit_scoring.model import CreditNetwork, loss
from pipelines.credit_scoring.schema import CategoricalColumn, LenderSchema
from pipelines.credit_scoring.train import predict_log_odds, train_network
from shared.errors import RequestError
from shared.interpretability.deep_shap import deep_shap

FRAME = generate(400, 11)
FEATURES = Features.fit(FRAME, SCHEMA, ModelConfig(num_bins=6))
ROWS = FEATURES.transform(FRAME)
KINDS = [("mlp", False), ("mlp", True), ("additive", False), ("additive", True)]
DIRECTIONS = {column.name: column.risk for column in SCHEMA.numeric}


def network(kind="mlp", monotone=False, seed=0, wild=True, hidden=(24, 16)):
    """A network with random weights and biases, far from what training would make of it."""
    model = CreditNetwork(
        FEATURES, ModelConfig(kind=kind, monotone=monotone, hidden_sizes=hidden, num_members=3), seed=seed
    )
    if wild:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for bias in model.biases:
                bias.copy_(torch.randn(bias.shape, generator=generator))
            for weight in model.weights:
                weight.mul_(3.0)
    return model.eval()


def ascending(name, num_values=40):
    """Applicants who differ in one amount alone, which grows from row to row."""
    low, high = FRAME[name].min(), FRAME[name].max()
    amounts = np.linspace(max(low, 0), high * 1.1, num_values)
    rows = pl.concat([FRAME[3:4]] * num_values)
    return FEATURES.transform(rows.with_columns(pl.Series(name, amounts)))


@pytest.mark.parametrize(("kind", "monotone"), KINDS)
def test_the_mean_of_the_members_is_the_network(kind, monotone):
    model = network(kind, monotone)
    with torch.inference_mode():
        members = torch.stack([member(ROWS).squeeze(-1) for member in model.members()]).mean(0)
        assert torch.allclose(members, model(ROWS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "monotone"), KINDS)
def test_every_variant_can_be_explained_completely(kind, monotone):
    model = network(kind, monotone, wild=False)
    explained = deep_shap(model.members(), ROWS[:50], ROWS[50:90])
    assert explained.completeness_error < 1e-4
    assert np.abs(explained.values).max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SCHEMA.feature_names), st.booleans())
def test_in_an_additive_network_a_column_adds_the_same_whatever_the_others_are(seed, name, monotone):
    model, slot = network("additive", monotone, seed), FEATURES.column_slots[name]
    places = slice(slot.start, slot.stop)
    with torch.inference_mode():
        steps = []
        for start in (0, 100):
            changed = ROWS[start : start + 100].clone()
            changed[:, places] = ROWS[200:201, places]
            base = ROWS[start : start + 100].clone()
            base[:, places] = ROWS[300:301, places]
            steps.append(model(changed) - model(base))
        effect = torch.cat(steps)
    assert effect.std() < 1e-4 * max(1.0, float(effect.abs().max()))


def test_an_ordinary_network_does_interact():
    model, slot = network("mlp"), FEATURES.column_slots["debt_to_income"]
    high, low = ROWS[:200].clone(), ROWS[:200].clone()
    high[:, slot.start : slot.stop - 1], low[:, slot.start : slot.stop - 1] = 1.0, -1.0
    with torch.inference_mode():
        assert (model(high) - model(low)).std() > 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["mlp", "additive"]))
def test_a_monotone_network_moves_only_in_the_declared_direction(seed, kind):
    model = network(kind, monotone=True, seed=seed)
    for name, risk in DIRECTIONS.items():
        with torch.inference_mode():
            steps = model(ascending(name)).diff()
        if risk is not None:
            sign = 1.0 if risk == "rises" else -1.0
            assert (sign * steps).min() >= -1e-4, name


@pytest.mark.parametrize("kind", ["mlp", "additive"])
def test_undeclared_columns_stay_free_in_a_monotone_network(kind):
    free = [name for name, risk in DIRECTIONS.items() if risk is None]
    rises, falls = set(), set()
    for seed in range(6):
        model = network(kind, monotone=True, seed=seed)
        for name in free:
            with torch.inference_mode():
                steps = model(ascending(name)).diff()
            rises |= {name} if steps.max() > 1e-3 else set()
            falls |= {name} if steps.min() < -1e-3 else set()
    assert rises == falls == set(free)


def test_without_the_constraint_declared_columns_may_go_either_way():
    steps = [network("mlp", False, seed)(ascending("debt_to_income")).diff() for seed in range(6)]
    assert min(step.min() for step in steps) < -1e-3 < 1e-3 < max(step.max() for step in steps)


@pytest.mark.parametrize(("kind", "monotone"), KINDS)
def test_gradient_reaches_every_weight_that_can_act(kind, monotone):
    model = network(kind, monotone, wild=False).train()
    model.dropout = 0.0
    # random rows in place of encoded ones, so that no input is constant
    rows = torch.rand(500, FEATURES.num_inputs, generator=torch.Generator().manual_seed(0)) * 4 - 2
    target = torch.arange(500) % 2
    loss(model, {"x": rows, "target": target.float()}).backward()
    for weight, bias, name in zip(model.weights, model.biases, model.masks, strict=True):
        mask = getattr(model, name).expand_as(weight[0]).bool()
        reached = (weight.grad != 0).float().mean(0)
        assert not reached[~mask].any()
        # a hidden unit of random weights may be off for every row; but no input and no layer is cut off
        assert (reached * mask).any(1).all()
        assert reached[mask].mean() > 0.8
        assert (bias.grad != 0).float().mean() > 0.8


@pytest.mark.parametrize(("kind", "monotone"), KINDS)
def test_each_variant_learns(kind, monotone):
    config = tiny().model_copy(
        update={"model": tiny().model.model_copy(update={"kind": kind, "monotone": monotone})}
    )
    features, result = train_network(FRAME, None, SCHEMA, config, seed=0)
    before = CreditNetwork(features, config.model, seed=0).eval()
    target = torch.tensor(FRAME["defaulted"].to_numpy()).float()
    batch = {"x": features.transform(FRAME), "target": target}
    with torch.inference_mode():
        assert loss(result.model.eval(), batch) < loss(before, batch) - 0.02


def test_same_seed_same_weights_and_another_seed_others():
    same = [train_network(FRAME, None, SCHEMA, tiny(), seed=4)[1].model.state_dict() for _ in range(2)]
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    other = network(seed=5, wild=False).weights[0]
    assert not torch.equal(other, network(seed=6, wild=False).weights[0])
    assert not torch.equal(other[0], other[1]), "members start from the same weights"


def test_evaluation_does_not_depend_on_chunks_or_on_the_other_rows(monkeypatch):
    model = network()
    whole = predict_log_odds(model, ROWS)
    monkeypatch.setattr("pipelines.credit_scoring.train._ROWS_AT_ONCE", 7)
    assert np.allclose(predict_log_odds(model, ROWS), whole, atol=1e-6)
    assert np.allclose(predict_log_odds(model, ROWS[5:6]), whole[5], atol=1e-6)
    assert predict_log_odds(model, ROWS[:0]).shape == (0,)


def test_monotone_without_a_declared_direction_is_refused_not_ignored():
    schema = LenderSchema(name="free", categorical=(CategoricalColumn(name="purpose"),))
    config = tiny().model_copy(update={"model": ModelConfig(monotone=True)})
    with pytest.raises(RequestError, match=r"declared direction for model\.monotone"):
        train_network(FRAME, None, schema, config, seed=0)
