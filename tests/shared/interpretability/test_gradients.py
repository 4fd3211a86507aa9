"""Integrated and expected gradients: equal to captum, complete, and working where DeepSHAP has no rule."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.gradients import expected_gradients, integrated_gradients
from shared.interpretability.shapley import agreement, shapley_values


def _network(features: int = 6) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))


class TokenModel(nn.Module):
    """Token numbers through an embedding, an LSTM and a LayerNorm to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 5)
        self.recurrent = nn.LSTM(5, 6, batch_first=True)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 1)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        hidden = self.norm(self.recurrent(self.embedding(tokens))[0])
        mask = torch.ones_like(tokens) if mask is None else mask
        return self.head((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


class TwoTowers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(9, 4), nn.Embedding(7, 4)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user) * self.items(item)).sum(1)


def test_integrated_gradients_agree_with_captum() -> None:
    from captum.attr import IntegratedGradients

    torch.manual_seed(0)
    network, rows, baseline = _network(), torch.randn(12, 6), torch.randn(1, 6)
    expected = IntegratedGradients(network).attribute(rows, baseline, n_steps=40, method="gausslegendre")
    found = integrated_gradients(network, rows, baseline, num_steps=40, max_steps=40, num_points=100)
    np.testing.assert_allclose(found.values, expected.detach().numpy(), atol=1e-5)


def test_embedding_outputs_agree_with_captum_layer_integrated_gradients() -> None:
    from captum.attr import LayerIntegratedGradients

    torch.manual_seed(1)
    model, tokens = TokenModel().eval(), torch.randint(1, 20, (5, 7))
    baseline = torch.zeros_like(tokens)
    expected = LayerIntegratedGradients(model, model.embedding).attribute(tokens, baseline, n_steps=30)
    found = integrated_gradients(
        model, tokens, baseline[:1], embedding=model.embedding, num_steps=30, max_steps=30
    )
    assert found.values.shape == (5, 7)
    np.testing.assert_allclose(found.values, expected.sum(-1).detach().numpy(), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), num_rows=st.integers(1, 6), num_points=st.sampled_from([1, 7, 64, 5000]))
def test_integrated_gradients_are_complete_whatever_the_chunks(
    seed: int, num_rows: int, num_points: int
) -> None:
    torch.manual_seed(seed)
    network, rows = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1)), torch.randn(num_rows, 4)
    found = integrated_gradients(network, rows, torch.zeros(1, 4), num_points=num_points, num_steps=16)
    assert found.completeness_error is not None
    assert found.completeness_error < 1e-4


def test_steps_double_only_until_the_tolerance_is_met() -> None:
    torch.manual_seed(2)
    kinked = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 1))
    rows, baseline = torch.randn(40, 6) * 5, torch.zeros(1, 6)
    coarse = integrated_gradients(kinked, rows, baseline, num_steps=4, max_steps=4)
    fine = integrated_gradients(kinked, rows, baseline, num_steps=4, max_steps=512, tolerance=1e-3)
    assert coarse.completeness_error is not None
    assert fine.completeness_error is not None
    assert fine.completeness_error < coarse.completeness_error / 5
    assert fine.gaps is not None
    moved = np.abs(fine.output - fine.base_value)
    assert np.all(np.abs(fine.gaps) <= 2e-3 * np.maximum(moved, moved.mean()))
    linear = integrated_gradients(nn.Linear(6, 1), rows, baseline, num_steps=1)
    assert "1 steps" in linear.method


def test_linear_model_is_exact_for_both_methods() -> None:
    torch.manual_seed(3)
    model, rows, background = nn.Linear(5, 1), torch.randn(6, 5), torch.randn(10, 5)
    slope = model.weight.detach()
    integrated = integrated_gradients(model, rows, background[:1]).values
    np.testing.assert_allclose(integrated, slope * (rows - background[:1]), atol=1e-5)
    # Twice the background rows are a whole number of rounds, so that no sampling error is left.
    expected = expected_gradients(model, rows, background, num_samples=20).values
    np.testing.assert_allclose(expected, slope * (rows - background.mean(0)), atol=1e-5)


def test_expected_gradients_converge_to_completeness_and_to_shapley_values() -> None:
    torch.manual_seed(4)
    network, rows, background = _network(), torch.randn(12, 6), torch.randn(40, 6)
    few, many = (expected_gradients(network, rows, background, num_samples=n) for n in (40, 4000))
    assert few.completeness_mean is not None
    assert many.completeness_mean is not None
    assert many.completeness_mean < few.completeness_mean
    assert many.completeness_mean < 0.01
    assert agreement(many, shapley_values(network, rows, background)).spearman > 0.85


def test_same_seed_same_values_whatever_the_global_generators() -> None:
    network, rows, background = _network(), torch.randn(7, 6), torch.randn(9, 6)
    first = expected_gradients(network, rows, background, num_samples=10, seed=5).values
    torch.manual_seed(99)
    np.testing.assert_array_equal(
        expected_gradients(network, rows, background, num_samples=10, seed=5).values, first
    )
    assert np.any(expected_gradients(network, rows, background, num_samples=10, seed=6).values != first)


def test_expected_gradients_reach_lstm_layer_norm_and_embeddings() -> None:
    torch.manual_seed(5)
    model, tokens, background = TokenModel(), torch.randint(0, 20, (6, 7)), torch.randint(0, 20, (30, 7))
    found = expected_gradients(model, tokens, background, embedding=model.embedding, num_samples=1200)
    assert found.values.shape == (6, 7)
    assert found.completeness_error is not None
    moved = np.abs(found.output - found.base_value).mean()
    assert found.completeness_error < 0.2 * moved
    assert model.training


def test_several_embeddings_are_laid_side_by_side() -> None:
    torch.manual_seed(6)
    model = TwoTowers()
    inputs = {"user": torch.tensor([1, 2, 3]), "item": torch.tensor([4, 5, 6])}
    zero = {name: torch.zeros(1, dtype=torch.long) for name in inputs}
    found = integrated_gradients(
        model, inputs, zero, embedding=[model.users, model.items], names=("user", "item"), num_steps=4
    )
    assert found.values.shape == (3, 2)
    assert found.completeness_error is not None
    assert found.completeness_error < 1e-5


def test_integers_in_a_mapping_are_passed_on_and_floats_explained() -> None:
    class Conditional(nn.Module):
        def forward(self, numbers: Tensor, condition: Tensor) -> Tensor:
            return (numbers * (1 + condition[:, None])).sum(1)

    inputs = {"numbers": torch.ones(3, 2), "condition": torch.tensor([0, 1, 2])}
    baseline = {"numbers": torch.zeros(1, 2), "condition": torch.tensor([0])}
    for found in (
        integrated_gradients(Conditional(), inputs, baseline),
        expected_gradients(Conditional(), inputs, baseline, num_samples=4),
    ):
        np.testing.assert_allclose(found.values, [[1, 1], [2, 2], [3, 3]], atol=1e-5)


def test_score_picks_what_is_explained() -> None:
    torch.manual_seed(7)
    model, rows = nn.Linear(4, 3), torch.randn(5, 4)
    found = integrated_gradients(model, rows, torch.zeros(1, 4), score=lambda x: model(x)[:, 1])
    np.testing.assert_allclose(found.values, model.weight[1].detach() * rows, atol=1e-5)
    with pytest.raises(RequestError, match="score="):
        integrated_gradients(model, rows, torch.zeros(1, 4))


def test_images_keep_their_shape_and_a_constant_output_gets_zeros() -> None:
    images = torch.randn(2, 3, 5, 4)
    found = integrated_gradients(
        nn.Flatten(), images, torch.zeros(1, 3, 5, 4), score=lambda x: torch.ones(len(x))
    )
    assert found.values.shape == (2, 3, 5, 4)
    assert not found.values.any()


def test_points_in_one_pass_shrink_with_the_size_of_a_row() -> None:
    sizes: list[int] = []

    def score(images: Tensor) -> Tensor:
        sizes.append(images.numel())
        return images.flatten(1).sum(1)

    images, black = torch.ones(2, 3, 256, 256), torch.zeros(1, 3, 256, 256)
    integrated_gradients(nn.Identity(), images, black, score=score, num_steps=32)
    expected_gradients(nn.Identity(), images, black, score=score, num_samples=64)
    # All points at once would be 128 images, 25 million numbers.
    assert max(sizes) <= 2**22


def test_zero_rows_and_rows_made_under_inference_mode() -> None:
    network = _network()
    assert integrated_gradients(network, torch.zeros(0, 6), torch.zeros(1, 6)).values.shape == (0, 6)
    assert expected_gradients(network, torch.zeros(0, 6), torch.zeros(2, 6)).values.shape == (0, 6)
    with torch.inference_mode():
        rows = torch.randn(3, 6)
        assert integrated_gradients(network, rows, torch.zeros(1, 6)).values.any()


def test_requests_that_cannot_be_right_are_refused() -> None:
    network, tokens = _network(), TokenModel()
    with pytest.raises(RequestError, match="baseline"):
        integrated_gradients(network, torch.zeros(4, 6), torch.zeros(3, 6))
    with pytest.raises(RequestError, match="baseline"):
        integrated_gradients(
            network, torch.zeros(4, 6), torch.zeros(1, 6, 1), score=lambda x: x.flatten(1)[:, 0]
        )
    with pytest.raises(RequestError, match="embedding="):
        integrated_gradients(tokens, torch.zeros(2, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(RequestError, match="did not"):
        expected_gradients(network, torch.zeros(2, 6), torch.zeros(2, 6), embedding=nn.Embedding(2, 2))
    with pytest.raises(RequestError, match="even"):
        expected_gradients(network, torch.zeros(2, 6), torch.zeros(2, 6), num_samples=3)
    with pytest.raises(RequestError, match="at least one background"):
        expected_gradients(network, torch.zeros(2, 6), torch.zeros(0, 6))


def test_missing_values_are_refused_instead_of_explained_with_zeros() -> None:
    rows = torch.randn(3, 6)
    rows[1, 2] = torch.nan
    for explain in (integrated_gradients, expected_gradients):
        with pytest.raises(RequestError, match="finite outputs"):
            explain(_network(), rows, torch.zeros(1, 6))
        with pytest.raises(RequestError, match="finite outputs"):
            explain(_network(), torch.zeros(1, 6), rows[1:2])


def test_an_embedding_that_runs_twice_is_refused() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return (self.embedding(x) + self.embedding(x + 1)).sum((1, 2))

    model, tokens = Shared(), torch.ones(2, 3, dtype=torch.long)
    with pytest.raises(RequestError, match="second call"):
        integrated_gradients(model, tokens, tokens[:1], embedding=model.embedding)
