"""Trained networks as rankers: saved and restored, explained completely, and fair to users who come later."""

import json

import pytest
import torch

from pipelines.recommender import personal, rankers
from pipelines.recommender.network_ranker import NetworkRanker, NetworkSettings

NETWORKS = ("mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid")
# An MLP bends too much between the average vector and a user's for shares of the last step to follow its scores;
# the check by removal in the flow says of each model whether they do.
WITH_FACTORS = tuple(kind for kind in NETWORKS if kind != "mlp")
ITEMS_OF_A_CLUSTER = 14


def usable(world, kind):
    """All histories as this model sees them, and the users of them as trained."""
    ranker = world.final[kind]
    histories = world.histories.first_items(ranker.num_items)
    return ranker, histories, ranker.known(histories, torch.arange(len(histories)))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_saved_network_scores_folds_in_and_explains_the_same(world, tmp_path, kind):
    ranker, histories, users = usable(world, kind)
    rankers.save(kind, ranker, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    name, again = rankers.load(tmp_path)
    few, items = torch.arange(8), torch.arange(5).repeat(8, 1)
    index = torch.arange(len(histories))
    assert name == kind
    assert again.layout == ranker.layout
    assert torch.equal(again.scores(again.known(histories, index)), ranker.scores(users))
    folded = again.fold_in(histories.select(few))
    assert torch.equal(folded.vectors, ranker.fold_in(histories.select(few)).vectors)
    explained = [model.contributions(users.select(few), items) for model in (ranker, again)]
    assert torch.equal(explained[0].values, explained[1].values)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_structure_survives_json(world, kind):
    settings = json.loads(json.dumps(world.final[kind].settings()))
    again = NetworkRanker.restore(settings, world.final[kind].tensors())
    assert again.layout == world.final[kind].layout
    assert again.settings() == world.final[kind].settings()


@pytest.mark.parametrize("kind", NETWORKS)
def test_contributions_and_base_add_up_to_the_score(world, kind):
    """To a fiftieth of the spread of the scores: the path has kinks where hidden units switch."""
    ranker, histories, users = usable(world, kind)
    with torch.no_grad():
        scores = ranker.scores(users)
    items = scores.topk(3).indices
    found = ranker.contributions(users, items)
    gap = (found.values.sum(-1) + found.base - scores.gather(1, items)).abs()
    spread = float(scores.std())
    assert gap.mean() < 0.02 * spread
    if kind in ("mf", "gmf"):  # linear in the user: nothing to integrate
        assert gap.max() < 1e-4 * max(1.0, spread)
    beyond = torch.arange(found.values.shape[2]) >= histories.counts[:, None]
    assert not found.values.transpose(1, 2)[beyond].any()


@pytest.mark.parametrize("kind", WITH_FACTORS)
def test_the_history_and_not_the_base_says_which_items_stand_high(world, kind):
    """Otherwise contributions would be complete only because the base takes up whatever is left."""
    ranker, _, users = usable(world, kind)
    items = torch.arange(ranker.num_items).repeat(len(users), 1)
    told = ranker.contributions(users, items).values.sum(-1)
    with torch.no_grad():
        average = ranker.network.pairs(ranker.prior.mean.expand(len(users), -1), ranker.items[items])
        moved = ranker.scores(users) - average
    agreement = [torch.corrcoef(torch.stack(both))[0, 1] for both in zip(moved, told, strict=True)]
    assert torch.stack(agreement).mean() > 0.8


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_new_user_with_a_clear_history_gets_items_of_his_cluster(world, kind, histories_of):
    ranker = world.final[kind]
    sets = [{cluster * ITEMS_OF_A_CLUSTER + place for place in (1, 4, 6, 9, 12)} for cluster in range(4)]
    histories = histories_of(sets, ranker.num_items)
    scores = histories.mask_(ranker.scores(ranker.fold_in(histories)))
    for cluster, items in enumerate(scores.topk(5).indices.tolist()):
        known = [item for item in items if item < 4 * ITEMS_OF_A_CLUSTER]  # the hybrid shows new items, too
        own = [item // ITEMS_OF_A_CLUSTER == cluster for item in known]
        assert sum(own) >= 0.75 * len(own), (cluster, items)


@pytest.mark.parametrize("kind", WITH_FACTORS)
def test_the_item_that_speaks_most_is_of_the_cluster_of_the_recommended_one(world, kind, histories_of):
    """Users with two items of one cluster and two of another: the recommendation rests on its own cluster."""
    ranker = world.final[kind]
    pairs = [(one, other) for one in range(4) for other in range(4) if one < other]
    sets = [{cluster * ITEMS_OF_A_CLUSTER + place for cluster in pair for place in (2, 3)} for pair in pairs]
    histories = histories_of(sets, ranker.num_items)
    users = ranker.fold_in(histories)
    items = torch.tensor([[pair[0] * ITEMS_OF_A_CLUSTER, pair[1] * ITEMS_OF_A_CLUSTER] for pair in pairs])
    strongest = ranker.contributions(users, items).values.argmax(-1)
    found = histories.padded()[0].gather(1, strongest) // ITEMS_OF_A_CLUSTER
    assert (found == torch.tensor(pairs)).float().mean() >= 0.9


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("cells", [1, 1 << 22], ids=["alone", "together"])
def test_a_user_is_folded_in_alike_in_any_company_and_order(world, monkeypatch, kind, cells):
    ranker, histories, _ = usable(world, kind)
    few = torch.tensor([5, 0, 33, 17])
    whole = ranker.fold_in(histories).vectors[few]
    monkeypatch.setattr(personal, "_CELLS_AT_ONCE", cells)
    assert torch.allclose(ranker.fold_in(histories.select(few)).vectors, whole, atol=2e-3)


def test_a_short_history_among_long_ones_is_explained_as_alone(world, histories_of):
    ranker = world.final["neumf"]
    histories = histories_of([{1, 2}, set(range(20)), set()], ranker.num_items)
    users, items = ranker.fold_in(histories), torch.tensor([[3, 30]]).repeat(3, 1)
    together = ranker.contributions(users, items)
    alone = ranker.contributions(users.select(torch.tensor([0])), items[:1])
    assert torch.allclose(together.values[0, :, :2], alone.values[0], atol=1e-5)
    assert not together.values[0, :, 2:].any()
    assert not together.values[2].any(), "a user without history has nothing that speaks for anything"


def test_folding_in_nobody_and_somebody_without_history(world, histories_of):
    ranker = world.final["neumf"]
    nobody = histories_of([], ranker.num_items)
    assert ranker.fold_in(nobody).vectors.shape == (0, ranker.layout.width)
    assert ranker.contributions(
        ranker.fold_in(nobody), torch.zeros(0, 2, dtype=torch.int64)
    ).values.shape == (0, 2, 0)
    empty = ranker.fold_in(histories_of([set()], ranker.num_items))
    assert torch.allclose(empty.vectors[0], ranker.prior.mean)


def test_an_interaction_of_weight_zero_is_still_one_that_was_had(world, histories_of):
    """The contract allows it, and training takes every pair alike, whatever its weight."""
    ranker, index = world.final["neumf"], torch.tensor([[3, 30]])
    light, full = (
        ranker.fold_in(histories_of([{1: weight, 2: weight, 7: weight}], ranker.num_items))
        for weight in (0.0, 1.0)
    )
    assert torch.allclose(light.vectors, full.vectors)
    assert torch.allclose(ranker.contributions(light, index).values, ranker.contributions(full, index).values)


def test_folding_in_starts_where_it_is_told(world, histories_of):
    ranker = world.final["gmf"]
    histories = histories_of([set(), {1, 2}], ranker.num_items)
    start = torch.full((2, ranker.layout.width), 0.3)
    kept = start.clone()
    folded = ranker.fold_in(histories, start).vectors
    assert torch.equal(start, kept), "the given start was overwritten"
    assert torch.equal(folded[0], start[0])
    assert not torch.allclose(folded[1], start[1])


def test_folding_in_works_where_gradients_are_off(world, histories_of):
    """As the checks by removal call it."""
    ranker, histories = world.final["neumf"], histories_of([{1, 2, 3}], world.final["neumf"].num_items)
    expected = ranker.fold_in(histories).vectors
    with torch.no_grad():
        assert torch.equal(ranker.fold_in(histories).vectors, expected)


def test_explaining_leaves_no_trace_in_the_network(world):
    ranker, _, users = usable(world, "neumf")
    before = {name: value.clone() for name, value in ranker.tensors().items()}
    random = torch.get_rng_state()
    ranker.contributions(users.select(torch.arange(3)), torch.arange(2).repeat(3, 1))
    ranker.fold_in(users.histories.select(torch.arange(3)))
    assert all(torch.equal(before[name], value) for name, value in ranker.tensors().items())
    assert all(parameter.grad is None for parameter in ranker.network.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert not ranker.network.training


def cold_items(world):
    return world.catalogue.item_index(
        world.catalogue.items.filter(world.catalogue.items.str.ends_with("cold"))
    )


def clusters_of_users(world):
    return torch.tensor([int(user[1:]) % 4 for user in world.catalogue.users])


def test_a_hybrid_orders_items_that_nobody_has_had_by_their_attributes(world):
    """Of the four items without interactions, most users prefer the one whose attributes are theirs."""
    ranker, _, users = usable(world, "hybrid")
    cold = cold_items(world)
    assert world.final["neumf"].num_items == world.catalogue.num_warm == int(cold.min())
    preferred = ranker.scores(users)[:, cold].argmax(1)
    assert (preferred == clusters_of_users(world)).float().mean() > 0.6


def test_a_hybrid_puts_new_items_of_the_users_kind_before_known_ones_of_other_kinds(world):
    """An item that nobody has had yet must not be taken for one that nobody wants."""
    ranker, _, users = usable(world, "hybrid")
    with torch.no_grad():
        scores = ranker.scores(users)
    own = clusters_of_users(world)
    new = scores.gather(1, cold_items(world)[own][:, None])[:, 0]
    known = scores[:, : world.catalogue.num_warm]
    of_others = torch.arange(known.shape[1]) // ITEMS_OF_A_CLUSTER != own[:, None]
    average = torch.where(of_others, known, 0.0).sum(1) / of_others.sum(1)
    assert (new > average).float().mean() > 0.8


def test_width_of_the_vectors_follows_from_the_structure():
    assert NetworkSettings("mf", 3, 3, 8).width == 10
    assert NetworkSettings("neumf", 3, 3, 6, (12, 8)).width == 12
    assert NetworkSettings("neumf", 3, 3, 0, (12, 8)).width == 6
    for layout in (NetworkSettings("mf", 3, 4, 8), NetworkSettings("neumf", 3, 4, 6, (12, 8))):
        embeddings = layout.build().embeddings
        assert embeddings.users.weight.shape == (3, layout.width)
        assert embeddings.items.weight.shape == (4, layout.width)
