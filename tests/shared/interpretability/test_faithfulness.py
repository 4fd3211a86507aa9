"""The check must pass true explanations, fail random ones, and notice what ignores the parameters."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.deep_shap import deep_shap
from shared.interpretability.faithfulness import check, randomisation, stability
from shared.interpretability.gradients import expected_gradients
from shared.interpretability.ranks import mean_interval, rank_correlations
from shared.interpretability.removal import removal_curves


@pytest.fixture(scope="module")
def case() -> tuple[nn.Sequential, Tensor, Tensor]:
    """A trained network, rows and background."""
    torch.manual_seed(0)
    x = torch.randn(1500, 8)
    y = 2 * x[:, :1] - x[:, 1:2] + x[:, 2:3] * x[:, 3:4]
    network = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.mse_loss(network(x), y).backward()
        optimiser.step()
    return network, x[:100], x[200:260]


def _random(like: Attribution, seed: int) -> Attribution:
    return replace(like, values=np.random.default_rng(seed).standard_normal(like.values.shape))


def test_a_true_explanation_passes_every_test(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background, unit="points")
    found = check(
        network, attribution, rows, background,
        model=network, explain=lambda model: deep_shap(model, rows, background),
    )  # fmt: skip
    assert found.passed, found.reasons
    assert found.deletion_gain.low > 0
    assert found.insertion_gain.unit == "points"
    assert found.randomisation_spearman is not None
    assert attribution.checked(found).faithful is True
    json.dumps(found.to_json(), allow_nan=False)


def test_a_random_attribution_fails(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    outcomes = [check(network, _random(attribution, seed), rows, background) for seed in range(8)]
    assert not any(outcome.passed for outcome in outcomes)
    # The completeness gap alone gives a random attribution away: here the curves have to see it.
    fooled = [o for o in outcomes if o.deletion_gain.low > 0 and o.insertion_gain.low > 0]
    assert len(fooled) <= 1


def test_the_opposite_explanation_is_worse_than_random(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    found = check(network, replace(attribution, values=-attribution.values), rows, background)
    assert found.deletion_gain.high < 0
    assert len(found.reasons) == 3


def test_explanation_that_ignores_the_parameters_is_caught(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    found = check(network, attribution, rows, background, model=network, explain=lambda model: attribution)
    assert found.randomisation_spearman == pytest.approx(1.0)
    assert "random parameters" in found.reasons[0]


def test_cascade_goes_from_output_to_input_and_leaves_the_model_alone(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = randomisation(network, lambda model: deep_shap(model, rows, background), every_layer=True)
    assert [entry.layer for entry in found] == ["2", "0"]
    assert abs(found[-1].spearman) < 0.5
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_curves_start_at_the_output_and_end_fully_replaced(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    curves = removal_curves(network, attribution, rows, background[:4])
    with torch.no_grad():
        start, end = float(network(rows).mean()), float(network(background[:4]).mean())
    for curve in (curves.strongest_first, curves.weakest_first, curves.random):
        assert curve.shape == (9,)
        assert curve[0] == pytest.approx(start, abs=1e-4)
        assert curve[-1] == pytest.approx(end, abs=1e-4)
    assert curves.strongest_first.mean() < curves.random.mean() < curves.weakest_first.mean()


def test_chunks_do_not_change_the_curves_and_seeds_decide_them(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    whole = removal_curves(network, attribution, rows, background, seed=3)
    small = removal_curves(network, attribution, rows, background, seed=3, num_points=1)
    np.testing.assert_allclose(whole.deletion_gains, small.deletion_gains, atol=1e-5)
    assert np.any(whole.random != removal_curves(network, attribution, rows, background, seed=4).random)


def test_groups_are_removed_as_a_whole(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    groups = {"signal": [0, 1], "product": [2, 3], "noise": [4, 5, 6, 7]}
    attribution = deep_shap(network, rows, background)
    by_column = check(network, attribution, rows, background, groups=groups)
    by_group = check(network, attribution.grouped(groups), rows, background, groups=groups)
    assert by_column.deletion_gain.value == pytest.approx(by_group.deletion_gain.value, abs=1e-5)
    assert by_column.passed


def test_importance_without_direction_is_judged_by_the_absolute_change(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    magnitude = replace(attribution, values=np.abs(attribution.values), base_value=None)
    assert check(network, magnitude, rows, background, signed=False).passed
    assert not check(network, _random(magnitude, 1), rows, background, signed=False).passed


def test_a_constant_model_does_not_pass() -> None:
    rows = torch.randn(20, 4)
    nothing = Attribution(np.random.default_rng(0).standard_normal((20, 4)), (), "", "", "")
    assert not check(lambda x: torch.zeros(len(x)), nothing, rows, rows).passed


def test_images_are_checked_in_patches() -> None:
    torch.manual_seed(1)
    images = torch.randn(40, 1, 6, 6)
    weight = torch.randn(1, 6, 6)
    grid = torch.arange(36).view(6, 6)
    groups = {f"{i}{j}": grid[i : i + 2, j : j + 2].flatten().tolist() for i in (0, 2, 4) for j in (0, 2, 4)}
    true = Attribution((images * weight).numpy(), (), "", "", "")
    found = check(
        lambda x: (x * weight).flatten(1).sum(1), true, images, torch.zeros(1, 1, 6, 6), groups=groups
    )
    assert found.passed


def test_a_missing_completeness_is_a_reason(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    found = check(network, replace(attribution, values=attribution.values * 1.2), rows, background)
    assert found.reasons
    assert "miss the output" in found.reasons[0]


def test_stability_is_one_for_a_deterministic_method_and_lower_for_few_samples(
    case: tuple[nn.Sequential, Tensor, Tensor],
) -> None:
    network, rows, background = case
    assert stability(lambda seed: deep_shap(network, rows, background), [1, 2]) == pytest.approx(1.0)
    few, many = (
        stability(
            lambda s, n=n: expected_gradients(network, rows, background, num_samples=n, seed=s), [1, 2, 3]
        )
        for n in (4, 400)
    )
    assert few < many < 1


def test_bad_requests_are_refused(case: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    network, rows, background = case
    attribution = deep_shap(network, rows, background)
    with pytest.raises(RequestError, match="at least 2 rows"):
        check(network, attribution, rows[:1], background)
    with pytest.raises(RequestError, match="8 features or 1 groups"):
        check(network, replace(attribution, values=np.zeros((100, 5))), rows, background, groups={"a": [1]})
    with pytest.raises(RequestError, match="finite"):
        check(network, replace(attribution, values=np.full((100, 8), np.nan)), rows, background)
    with pytest.raises(RequestError, match="parameters"):
        randomisation(nn.ReLU(), lambda model: attribution)


def test_rank_correlation_matches_scipy_and_constants_count_as_no_order() -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(2)
    left, right = random.integers(0, 5, (6, 9)).astype(float), random.standard_normal((6, 9))
    expected = [spearmanr(a, b).statistic for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(rank_correlations(left, right), expected)
    assert rank_correlations(np.ones((1, 4)), right[:1, :4]) == 0


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for seed in range(200):
        _, low, high = mean_interval(random.exponential(1.0, 60), seed=seed, num_resamples=400)
        hits += low <= 1.0 <= high
    assert 0.86 <= hits / 200 <= 0.99
