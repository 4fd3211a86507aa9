"""The reference must be right: theory's axioms, the definition itself, and shap's KernelExplainer."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.deep_shap import deep_shap
from shared.interpretability.shapley import agreement, shapley_values

METHODS = ["exact", "permutation", "kernel"]


def _definition(predict, row: Tensor, background: Tensor) -> list[float]:  # type: ignore[no-untyped-def]
    """Shapley's formula term by term."""
    num = len(row)

    def worth(members: tuple[int, ...]) -> float:
        points = background.clone()
        points[:, list(members)] = row[list(members)]
        return float(predict(points).mean())

    values = []
    for j in range(num):
        others = [i for i in range(num) if i != j]
        values.append(
            sum(
                math.factorial(size) * math.factorial(num - size - 1) / math.factorial(num)
                * (worth((*members, j)) - worth(members))
                for size in range(num)
                for members in itertools.combinations(others, size)
            )
        )  # fmt: skip
    return values


def _bumpy(x: Tensor) -> Tensor:
    return x[:, 0] * x[:, 1] - x[:, 2] ** 2 * x[:, 0] + x[:, 3].sin() * x[:, 4]


def test_exact_values_follow_the_definition() -> None:
    torch.manual_seed(0)
    rows, background = torch.randn(3, 5).double(), torch.randn(7, 5).double()
    found = shapley_values(_bumpy, rows, background, num_points=10)
    np.testing.assert_allclose(found.values, [_definition(_bumpy, r, background) for r in rows], atol=1e-10)


def test_agrees_with_shap_kernel_explainer() -> None:
    import shap

    torch.manual_seed(1)
    rows, background = torch.randn(3, 5).double(), torch.randn(8, 5).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = shap.KernelExplainer(lambda x: _bumpy(torch.from_numpy(x)).numpy(), background.numpy())
        expected = explainer.shap_values(rows.numpy(), silent=True, l1_reg=False)
    np.testing.assert_allclose(shapley_values(_bumpy, rows, background).values, expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_additive_models_are_exact(method: str) -> None:
    torch.manual_seed(2)
    rows, background = torch.randn(4, 9).double(), torch.randn(6, 9).double()
    found = shapley_values(lambda x: x.exp().sum(1), rows, background, method=method, num_coalitions=60)
    np.testing.assert_allclose(found.values, rows.exp() - background.exp().mean(0), atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), num_groups=st.integers(1, 8))
def test_values_always_sum_to_the_output(method: str, seed: int, num_groups: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(num_groups, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    rows, background = torch.randn(2, num_groups).double(), torch.randn(4, num_groups).double()
    found = shapley_values(network, rows, background, method=method, num_coalitions=50, seed=seed)
    assert found.completeness_error is not None
    assert found.completeness_error < 1e-9
    np.testing.assert_allclose(found.output, network(rows).detach().squeeze(1), atol=1e-9)


@pytest.mark.parametrize("method", ["permutation", "kernel"])
def test_sampling_converges_to_the_exact_values(method: str) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(11, 16), nn.ReLU(), nn.Linear(16, 1))
    rows, background = torch.randn(5, 11), torch.randn(10, 11)
    exact = shapley_values(network, rows, background)
    errors = [
        agreement(
            shapley_values(network, rows, background, method=method, num_coalitions=n), exact
        ).relative_difference
        for n in (60, 1500)
    ]
    assert errors[1] < 0.03
    assert errors[1] < errors[0] / 2


def test_groups_switch_as_a_whole_and_other_columns_stay() -> None:
    rows, background = torch.tensor([[1.0, 1.0, 5.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    found = shapley_values(lambda x: x[:, 0] * x[:, 1] + x[:, 2], rows, background, {"pair": [0, 1]})
    assert found.names == ("pair",)
    np.testing.assert_allclose(found.values, [[1.0]])
    np.testing.assert_allclose(found.base_value, [5.0])


def test_dummy_is_zero_and_twins_share_equally() -> None:
    rows, background = torch.ones(1, 3).double(), torch.zeros(1, 3).double()
    found = shapley_values(lambda x: x[:, 0] * x[:, 1], rows, background)
    np.testing.assert_allclose(found.values, [[0.5, 0.5, 0.0]], atol=1e-12)


def test_deep_shap_agrees_well_with_exact_values_on_a_trained_network() -> None:
    torch.manual_seed(4)
    x = torch.randn(2000, 6)
    y = x[:, :1] * 2 + x[:, 1:2] * x[:, 2:3] - x[:, 3:4]
    network = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.mse_loss(network(x), y).backward()
        optimiser.step()
    compared = agreement(deep_shap(network, x[:30], x[100:150]), shapley_values(network, x[:30], x[100:150]))
    assert compared.spearman > 0.9
    assert compared.relative_difference < 0.25
    assert compared.same_first > 0.8


def test_agreement_of_an_attribution_with_itself_is_perfect() -> None:
    found = shapley_values(_bumpy, torch.randn(4, 5), torch.randn(5, 5))
    itself = agreement(found, found).to_json()
    assert itself.pop("spearman") == pytest.approx(1.0)
    assert itself == {
        "max_difference": 0.0,
        "mean_difference": 0.0,
        "relative_difference": 0.0,
        "same_first": 1.0,
    }


def test_same_seed_same_coalitions() -> None:
    rows, background = torch.randn(2, 14), torch.randn(3, 14)
    network = nn.Sequential(nn.Linear(14, 4), nn.ReLU(), nn.Linear(4, 1))
    runs = [shapley_values(network, rows, background, num_coalitions=100, seed=s).values for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])


def test_bad_requests_are_refused() -> None:
    rows, background = torch.randn(2, 20), torch.randn(3, 20)
    with pytest.raises(RequestError, match="at most 16"):
        shapley_values(nn.Linear(20, 1), rows, background, method="exact")
    with pytest.raises(RequestError, match="two groups"):
        shapley_values(nn.Linear(20, 1), rows, background, {"a": [0, 1], "b": [1]})
    with pytest.raises(RequestError, match="between 0 and 19"):
        shapley_values(nn.Linear(20, 1), rows, background, {"a": [20]})
    with pytest.raises(RequestError, match="background"):
        shapley_values(nn.Linear(20, 1), rows, background[:0])
    with pytest.raises(RequestError, match="Received 'magic'"):
        shapley_values(nn.Linear(20, 1), rows, background, method="magic")
