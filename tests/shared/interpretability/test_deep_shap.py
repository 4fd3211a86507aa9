"""DeepSHAP equals captum and shap where they are right, is exact where theory says so, refuses the rest."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability import deep_shap as module
from shared.interpretability.affine import ELEMENTWISE
from shared.interpretability.deep_shap import deep_shap

SMOOTH_OR_PIECEWISE = [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus]


def _network(activation: type[nn.Module] = nn.ReLU, *, features: int = 7, outputs: int = 1) -> nn.Sequential:
    layers = [nn.Linear(features, 16), activation(), nn.Linear(16, 9), activation(), nn.Linear(9, outputs)]
    return nn.Sequential(*layers)


def _captum(network: nn.Module, rows: Tensor, background: Tensor, **options: object) -> np.ndarray:
    from captum.attr import DeepLiftShap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DeepLiftShap(network).attribute(rows, background, **options).detach().numpy()


@pytest.mark.parametrize("activation", SMOOTH_OR_PIECEWISE)
def test_agrees_with_captum(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network, rows, background = _network(activation), torch.randn(20, 7), torch.randn(30, 7)
    expected = _captum(network, rows, background)
    np.testing.assert_allclose(deep_shap(network, rows, background).values, expected, atol=3e-5)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.SELU, nn.Tanh])
def test_agrees_with_shap(activation: type[nn.Module]) -> None:
    import shap

    torch.manual_seed(1)
    network, rows, background = _network(activation).eval(), torch.randn(10, 7), torch.randn(20, 7)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        expected = shap.DeepExplainer(network, background).shap_values(rows, check_additivity=False)
    np.testing.assert_allclose(
        deep_shap(network, rows, background).values, expected.reshape(10, 7), atol=5e-5
    )


def test_agrees_with_captum_on_rows_that_are_background_rows() -> None:
    torch.manual_seed(2)
    network, background = _network(), torch.randn(25, 7)
    rows = torch.cat([background[:5], torch.randn(5, 7)])
    values = deep_shap(network, rows, background).values
    np.testing.assert_allclose(values, _captum(network, rows, background), atol=2e-5)


def test_equal_pre_activations_of_different_rows_take_the_derivative() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 1.0]]))
        network[0].bias.zero_()
        network[2].weight.fill_(2.0)
    values = deep_shap(network, torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 2.0]])).values
    np.testing.assert_allclose(values, [[2.0, -2.0]])


def test_batch_norm_dropout_and_nested_sequentials_are_folded() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.BatchNorm1d(7), nn.Sequential(nn.Linear(7, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)),
        nn.Identity(), nn.Linear(8, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.Tanh(),
        nn.Linear(4, 1),
    )  # fmt: skip
    network.train()(torch.randn(200, 7) * 3 + 1)
    rows, background = torch.randn(15, 7), torch.randn(20, 7)
    attribution = deep_shap(network, rows, background)
    assert network.training
    assert attribution.completeness_error is not None
    assert attribution.completeness_error < 1e-5
    np.testing.assert_allclose(attribution.output, network.eval()(rows).detach().squeeze(1), atol=1e-5)
    np.testing.assert_allclose(attribution.values, _captum(network, rows, background), atol=3e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    activations=st.lists(st.sampled_from(ELEMENTWISE), min_size=1, max_size=4),
    final=st.sampled_from([None, nn.Sigmoid, nn.ReLU]),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_values_sum_to_the_output_for_any_network(
    seed: int, activations: list[type[nn.Module]], final: type[nn.Module] | None, scale: float
) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for activation in activations:
        layers += [nn.Linear(5, 5), activation()]
    layers += [nn.Linear(5, 1), *([final()] if final else [])]
    network, background = nn.Sequential(*layers), torch.randn(12, 5) * scale
    rows = torch.cat([torch.randn(9, 5) * scale, background[:2]])
    attribution = deep_shap(network, rows, background)
    with torch.no_grad():
        expected = network.eval()(rows).squeeze(1)
    np.testing.assert_allclose(attribution.output, expected, atol=1e-4)
    assert attribution.completeness_error is not None
    assert attribution.completeness_error <= 2e-4 * scale


def test_linear_network_is_exact() -> None:
    torch.manual_seed(4)
    network, rows, background = nn.Sequential(nn.Linear(4, 1)), torch.randn(6, 4), torch.randn(9, 4)
    expected = (network[0].weight * (rows - background.mean(0))).detach().numpy()
    np.testing.assert_allclose(deep_shap(network, rows, background).values, expected, atol=1e-6)


def test_unused_feature_gets_zero_and_interchangeable_features_get_the_same() -> None:
    torch.manual_seed(5)
    network, rows, background = _network(), torch.randn(6, 7), torch.randn(11, 7)
    with torch.no_grad():
        network[0].weight[:, 3] = 0
        network[0].weight[:, 1] = network[0].weight[:, 0]
    rows[:, 1], background[:, 1] = rows[:, 0], background[:, 0]
    values = deep_shap(network, rows, background).values
    assert np.all(values[:, 3] == 0)
    np.testing.assert_allclose(values[:, 0], values[:, 1], atol=1e-6)


def test_ensemble_is_the_mean_of_its_members() -> None:
    torch.manual_seed(6)
    members = [_network(), _network(nn.GELU), nn.Sequential(nn.Linear(7, 1))]
    rows, background = torch.randn(5, 7), torch.randn(8, 7)
    together = deep_shap(members, rows, background)
    alone = [deep_shap(member, rows, background).values for member in members]
    np.testing.assert_allclose(together.values, np.mean(alone, axis=0), atol=1e-6)
    assert together.completeness_error is not None
    assert together.completeness_error < 1e-5


def test_one_of_several_outputs_can_be_chosen() -> None:
    torch.manual_seed(7)
    network, rows, background = _network(outputs=3), torch.randn(5, 7), torch.randn(8, 7)
    values = deep_shap(network, rows, background, output=2).values
    np.testing.assert_allclose(values, _captum(network, rows, background, target=2), atol=2e-5)
    with pytest.raises(RequestError, match="3 outputs"):
        deep_shap(network, rows, background)
    with pytest.raises(RequestError, match="between 0 and 2"):
        deep_shap(network, rows, background, output=3)


def test_chunking_does_not_change_values(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(8)
    network, rows, background = _network(), torch.randn(33, 7), torch.randn(21, 7)
    rows[:2] = background[:2]
    whole = deep_shap(network, rows, background).values
    for pairs in (1, 16 * 5, 16 * 21 * 4):
        monkeypatch.setattr(module, "CPU_PAIRS", pairs)
        monkeypatch.setattr(module, "ROWS_PER_BLOCK", 10)
        np.testing.assert_allclose(deep_shap(network, rows, background).values, whole, atol=1e-5)


def test_memory_stays_bounded_for_a_wide_network_and_a_large_background() -> None:
    torch.manual_seed(9)
    network = nn.Sequential(nn.Linear(50, 512), nn.ReLU(), nn.Linear(512, 1))
    rows, background = torch.randn(20, 50), torch.randn(3000, 50)
    sizes: list[int] = []
    original = torch.sub

    def watched(*arguments: Tensor, out: Tensor) -> Tensor:
        sizes.append(out.numel())
        return original(*arguments, out=out)

    # All pairs at once would be 20 * 3000 * 512 = 30 million slopes.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "sub", watched)
        attribution = deep_shap(network, rows, background)
    assert max(sizes) <= module.CPU_PAIRS
    assert attribution.completeness_error is not None
    assert attribution.completeness_error < 1e-4


def test_zero_and_one_row() -> None:
    network, background = _network(), torch.randn(1, 7)
    assert deep_shap(network, torch.zeros(0, 7), background).values.shape == (0, 7)
    assert deep_shap(network, background, background).values.tolist() == [[0.0] * 7]


def test_double_precision_is_kept() -> None:
    network, rows = _network().double(), torch.randn(4, 7)
    attribution = deep_shap(network, rows, torch.randn(5, 7))
    assert attribution.values.dtype == np.float64
    assert attribution.completeness_error is not None
    assert attribution.completeness_error < 1e-12


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(16), nn.Softmax(1), nn.BatchNorm1d(16, track_running_stats=False)]
)
def test_layers_without_an_exact_rule_are_refused_with_the_way_out(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(7, 16), layer, nn.ReLU(), nn.Linear(16, 1))
    with pytest.raises(RequestError, match=f"{type(layer).__name__}.*expected_gradients"):
        deep_shap(network, torch.randn(3, 7), torch.randn(3, 7))


def test_a_model_with_its_own_forward_is_refused() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(7, 7)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.body(x)

    class Tricky(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) ** 2

    for network in (nn.Sequential(Residual(), nn.Linear(7, 1)), Tricky(nn.Linear(7, 1))):
        with pytest.raises(RequestError, match="expected_gradients"):
            deep_shap(network, torch.randn(3, 7), torch.randn(3, 7))


def test_a_hook_that_changes_the_output_is_noticed() -> None:
    network = _network()
    network[2].register_forward_hook(lambda module, arguments, output: output * 2)
    with pytest.raises(RequestError, match="sequence of its layers"):
        deep_shap(network, torch.randn(3, 7), torch.randn(3, 7))


@pytest.mark.parametrize(
    ("rows", "background"),
    [
        (torch.zeros(3, 6), torch.zeros(3, 7)),
        (torch.zeros(3, 6), torch.zeros(3, 6)),
        (torch.zeros(7), torch.zeros(3, 7)),
        (torch.zeros(3, 7), torch.zeros(0, 7)),
        (torch.full((3, 7), torch.nan), torch.zeros(3, 7)),
        (torch.zeros(3, 7), torch.full((3, 7), torch.inf)),
    ],
)
def test_bad_tables_are_refused(rows: Tensor, background: Tensor) -> None:
    with pytest.raises(RequestError, match="Expected"):
        deep_shap(_network(), rows, background)
