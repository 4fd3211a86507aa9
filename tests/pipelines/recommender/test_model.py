"""Catalogue scores are exactly the scores of pairs, and a pre-trained NeuMF starts as the sum of its parts."""

import copy
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch

from pipelines.recommender import model as module
from pipelines.recommender.model import MatrixFactorisation, NeuMF, loss, pretrained
from pipelines.recommender.network_ranker import NetworkSettings

NUM_USERS, NUM_ITEMS = 7, 23
LAYOUTS = {
    "mf": NetworkSettings("mf", NUM_USERS, NUM_ITEMS, 6),
    "gmf": NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 6),
    "mlp": NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 0, (12, 10, 8, 4)),
    "mlp of one layer": NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 0, (12, 10)),
    "neumf": NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 6, (12, 10, 8)),
    "hybrid": NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 6, (12, 10, 8), id_dropout=0.3),
    "hybrid mf": NetworkSettings("mf", NUM_USERS, NUM_ITEMS, 6),
}
KINDS = sorted(LAYOUTS)


def built(kind: str, seed: int = 0, **changes) -> MatrixFactorisation | NeuMF:
    """A network of random weights and biases, far from its start."""
    torch.manual_seed(seed)
    attributes = (torch.rand(NUM_USERS, 3), torch.rand(NUM_ITEMS, 4)) if "hybrid" in kind else ()
    network = LAYOUTS[kind].build(*attributes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.6)
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("items_at_once", [5, 16_384])
def test_catalogue_scores_equal_the_scores_of_pairs(monkeypatch, kind, items_at_once):
    monkeypatch.setattr(module, "_ITEMS_AT_ONCE", items_at_once)
    network, users = built(kind), torch.arange(NUM_USERS)
    items = torch.arange(NUM_ITEMS).repeat(NUM_USERS, 1)
    with torch.inference_mode():
        pairs = network(users, items)
        catalogue = network.catalogue_scores(network.embeddings.user_vectors(users))
    assert torch.allclose(pairs, catalogue, atol=1e-5)
    assert pairs.std() > 0.1
    assert pairs.shape == (NUM_USERS, NUM_ITEMS)


def test_the_factored_first_layer_is_the_tower_of_the_paper():
    """relu(W [p; q] + b) with both vectors side by side, and a plain stack on top."""
    network = built("neumf")
    users, items = torch.arange(4), torch.tensor([[3, 9], [1, 2], [22, 0], [5, 5]])
    p, q = network.embeddings.users.weight[users], network.embeddings.items.weight[items]
    joined = torch.cat([p[:, None, 6:].expand(-1, 2, -1), q[..., 6:]], -1)
    weight = torch.cat([network.user_half.weight, network.item_half.weight], 1)
    hidden = torch.relu(joined @ weight.T + network.user_half.bias)
    for layer in network.upper:
        hidden = torch.relu(hidden @ layer.weight.T + layer.bias)
    together = torch.cat([p[:, None, :6] * q[..., :6], hidden], -1)
    expected = (together @ network.output.weight.T + network.output.bias).squeeze(-1)
    assert torch.allclose(network(users, items), expected, atol=1e-5)


def test_matrix_factorisation_is_a_dot_product_with_both_biases():
    network = built("mf")
    p, q = network.embeddings.users.weight[2], network.embeddings.items.weight[5]
    expected = p[:-2] @ q[:-2] + p[-2] + q[-1]
    assert torch.allclose(network(torch.tensor([2]), torch.tensor([[5]])), expected, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_a_pretrained_neumf_starts_as_the_weighted_sum_of_its_parts(share):
    gmf, mlp, network = built("gmf", 1), built("mlp", 2), None
    layout = NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 6, (12, 10, 8, 4))
    network = layout.build()
    before = copy.deepcopy((gmf.state_dict(), mlp.state_dict()))
    pretrained(network, gmf, mlp, share)
    users, items = torch.arange(NUM_USERS), torch.arange(NUM_ITEMS).repeat(NUM_USERS, 1)
    expected = share * gmf(users, items) + (1 - share) * mlp(users, items)
    assert torch.allclose(network(users, items), expected, atol=1e-5)
    with torch.no_grad():  # training the one must leave the others as they are
        for parameter in network.parameters():
            parameter.add_(1.0)
    for kept, model in zip(before, (gmf, mlp), strict=True):
        assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sparse", [{}, {"users"}, {"users", "items"}], ids=["dense", "sparse users", "sparse"]
)
def test_gradients_reach_every_parameter(kind, sparse):
    torch.manual_seed(0)
    layout = replace(LAYOUTS[kind], **{f"sparse_{table}": True for table in sparse})
    attributes = (torch.rand(NUM_USERS, 3), torch.rand(NUM_ITEMS, 4)) if "hybrid" in kind else ()
    network = layout.build(*attributes).train()
    users = torch.arange(NUM_USERS).repeat(40)
    loss(network, {"user": users, "items": torch.randint(NUM_ITEMS, (len(users), 4))}).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense()
        assert gradient.abs().max() > 0, name
        if "embeddings" in name and "attributes" not in name:
            assert gradient.abs().sum(1).min() > 0, f"{name}: a row without gradient"
            assert parameter.grad.is_sparse == (name.split(".")[1] in sparse)


def test_the_loss_is_the_mean_cross_entropy_of_one_positive_and_its_negatives():
    network = built("gmf")
    batch = {"user": torch.tensor([0, 1]), "items": torch.tensor([[1, 2, 3], [4, 5, 6]])}
    chances = torch.sigmoid(network(batch["user"], batch["items"]))
    expected = -(torch.log(chances[:, 0]).sum() + torch.log(1 - chances[:, 1:]).sum()) / 6
    assert torch.allclose(loss(network, batch), expected, atol=1e-6)


def test_an_item_without_its_id_is_seen_by_its_attributes_alone():
    """With every id left out, two items of equal attributes score alike in training, and differ when served."""
    torch.manual_seed(0)
    layout = NetworkSettings("neumf", NUM_USERS, NUM_ITEMS, 6, (12, 10), id_dropout=0.999_999)
    attributes = torch.rand(NUM_ITEMS, 4)
    attributes[1] = attributes[0]
    network = layout.build(None, attributes)
    with torch.no_grad():
        network.embeddings.item_attributes.weight.normal_()
        network.embeddings.items.weight.normal_()
    users, items = torch.arange(NUM_USERS), torch.tensor([[0, 1]]).repeat(NUM_USERS, 1)
    blind, served = network.train()(users, items), network.eval()(users, items)
    assert torch.allclose(blind[:, 0], blind[:, 1])
    assert (served[:, 0] - served[:, 1]).abs().min() > 1e-4


def test_the_network_needs_torch_alone():
    script = textwrap.dedent("""
        import sys

        import torch

        with_torch = set(sys.modules)
        import pipelines.recommender.model

        heavy = {"prefect", "mlflow", "shap", "captum", "sklearn", "matplotlib", "pandera", "polars", "pydantic"}
        print(sorted((set(sys.modules) - with_torch) & heavy))
    """)
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""
    assert finished.stdout.strip() == "[]"
