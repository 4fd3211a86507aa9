"""Every model is chosen on validation, fitted again with what was chosen, and repeatable."""

from dataclasses import replace

import pytest
import torch

from pipelines.recommender import train as module
from pipelines.recommender.features import Catalogue
from pipelines.recommender.metrics import per_user
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.ranking import judge
from pipelines.recommender.train import Judge, Trainer, Trial, pair_batches

NETWORKS = ("mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid")


def with_training(config, **changes):
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def parts(world):
    catalogue = world.catalogue
    return catalogue.histories(world.train), catalogue.histories(world.validation)


def test_every_personal_model_beats_popularity_on_clusters(world):
    floor = world.selected["popularity"].best.ndcg
    for kind in TITLES:
        if kind != "popularity":
            assert world.selected[kind].best.ndcg > 1.5 * floor, kind


@pytest.mark.parametrize("kind", TITLES)
def test_the_best_trial_is_chosen_and_is_what_its_model_scores(world, kind):
    selected = world.selected[kind]
    assert selected.best.ndcg == max(trial.ndcg for trial in selected.trials)
    assert world.judge.ndcg(selected.ranker) == pytest.approx(selected.best.ndcg, abs=1e-6)


def test_every_combination_of_a_grid_is_tried_once(world):
    tried = [tuple(sorted(trial.knobs.items())) for trial in world.selected["item_knn"].trials]
    assert len(tried) == len(set(tried)) == 2
    assert [trial.knobs["regularisation"] for trial in world.selected["ease"].trials] == [20.0, 200.0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_stops_at_its_best_epoch_on_validation_and_the_final_one_trains_as_long(
    world, monkeypatch, kind
):
    selected = world.selected[kind]
    history = selected.training["history"]
    scores = [epoch["ndcg_at_20"] for epoch in history]
    assert selected.best.epochs == scores.index(max(scores)) + 1
    assert len(scores) <= selected.best.epochs + world.config.training.patience
    results = []
    fit = module.fit
    monkeypatch.setattr(
        module, "fit", lambda *given, **named: results.append(fit(*given, **named)) or results[-1]
    )
    seen, following = parts(world)
    chosen = replace(selected.best, epochs=2)
    Trainer(world.config, world.catalogue).final(kind, seen.union(following), chosen, world.final)
    (result,) = results
    assert result.epochs == 2
    assert "ndcg_at_20" not in result.history[0], (
        "the final fit looks at a validation part that it learns from"
    )


def test_the_final_model_learns_from_the_validation_part_too(world):
    counts = world.final["popularity"].counts - world.selected["popularity"].ranker.counts
    assert counts.sum() == len(world.validation)


@pytest.mark.parametrize("kind", ["item_knn", "ease", "ials", "neumf"])
def test_the_test_part_has_no_say_in_tuning(world, kind):
    """Selection gets histories and a judge of the validation part; other test items change nothing it sees."""
    catalogue = Catalogue.fit(world.before)
    assert set(catalogue.items) == set(world.before["item_id"])
    seen, following = parts(world)
    assert torch.equal(world.judge.relevant.items, following.select(world.judge.index).items)
    assert torch.equal(world.judge.seen.items, seen.select(world.judge.index).items)
    assert not world.judge.seen.contain_pairs(world.judge.relevant).any()
    assert kind in world.selected


def test_the_judge_is_the_mean_ndcg_of_users_with_something_to_find(world, fixed):
    seen, following = parts(world)
    following = following.keeping(following.users % 3 == 0)
    table = torch.rand(len(seen), world.catalogue.num_warm, generator=torch.Generator().manual_seed(0))
    ranker = fixed(table)
    judged = Judge.of(seen, following, max_users=1000, memory_mb=8, seed=0)
    assert judged.index.tolist() == list(range(0, len(seen), 3))
    rows = judged.index
    before, after = seen.select(rows), following.select(rows)
    found = judge(ranker, ranker.known(before, rows), before, after, 20, memory_mb=8)
    expected = per_user(found, following.select(rows), (20,))["ndcg_at_20"].mean()
    assert judged.ndcg(ranker) == pytest.approx(expected)


def test_a_judge_of_few_users_draws_them_by_the_seed(world):
    seen, following = parts(world)
    one, same, other = (Judge.of(seen, following, max_users=20, memory_mb=8, seed=s) for s in (1, 1, 2))
    assert len(one.index) == len(set(one.index.tolist())) == 20
    assert torch.equal(one.index, same.index)
    assert not torch.equal(one.index, other.index)
    assert torch.equal(one.relevant.items, following.select(one.index).items)


def test_a_pretrained_network_starts_from_networks_of_its_own_stage(world):
    seen, following = parts(world)
    trainer = Trainer(with_training(world.config, learning_rate=1e-12, epochs=1), world.catalogue)
    started, chosen = {}, replace(world.selected["neumf"].best, epochs=1)
    for stage, before in (
        ("select", {name: model.ranker for name, model in world.selected.items()}),
        ("final", world.final),
    ):
        if stage == "select":
            found = trainer.select("neumf", seen, world.judge, before).ranker
        else:
            found = trainer.final("neumf", seen.union(following), chosen, before)
        users = torch.arange(10)
        items = torch.arange(world.catalogue.num_warm).repeat(10, 1)
        with torch.no_grad():
            expected = 0.5 * sum(before[name].network(users, items) for name in ("gmf", "mlp"))
            started[stage] = found.network(users, items)
        assert torch.allclose(started[stage], expected, atol=1e-4)
    assert not torch.allclose(started["select"], started["final"], atol=1e-2)


@pytest.mark.parametrize("kind", ["gmf", "mf", "hybrid"])
@pytest.mark.parametrize("tables", ["dense", "sparse"])
def test_dense_and_sparse_tables_both_learn(world, monkeypatch, kind, tables):
    threshold = 1 if tables == "sparse" else 10**9
    monkeypatch.setattr(module, "_SPARSE_FROM_ROWS", threshold)
    monkeypatch.setattr(module, "_SPARSE_FROM_ROWS_PER_LOOKUP", 0)
    seen, _ = parts(world)
    found = Trainer(with_training(world.config, epochs=8), world.catalogue).select(
        kind, seen, world.judge, {}
    )
    assert found.ranker.layout.sparse_users == found.ranker.layout.sparse_items == (tables == "sparse")
    assert found.best.ndcg > 1.5 * world.selected["popularity"].best.ndcg


@pytest.mark.parametrize("kind", ["ials", "gmf", "neumf_scratch"])
def test_same_seed_same_model_and_another_seed_another(world, kind):
    seen, following = parts(world)
    everything = seen.union(following)

    def trained(seed):
        config = with_training(world.config, epochs=1).model_copy(update={"seed": seed})
        chosen = replace(world.selected[kind].best, epochs=1 if kind != "ials" else 0)
        return Trainer(config, world.catalogue).final(kind, everything, chosen, {}).tensors()

    one, same, other = trained(3), trained(3), trained(4)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_training_does_not_move_the_random_state_of_the_caller_by_building_a_network(world):
    trainer = Trainer(world.config, world.catalogue)
    seen, _ = parts(world)
    before = torch.get_rng_state()
    layout = trainer._layout("gmf", seen)
    trainer._initial("gmf", layout, {})
    assert torch.equal(torch.get_rng_state(), before)


def test_knobs_outside_the_grid_are_refused(world):
    seen, _ = parts(world)
    with pytest.raises(ValueError, match="Expected knobs of the grid of ease"):
        Trainer(world.config, world.catalogue).final("ease", seen, Trial({"regularisation": 1.5}, 0.0), {})


def test_batches_hold_a_positive_first_and_new_negatives_each_epoch(histories_of):
    sets = [{0, 1, 2}, {3}, set(range(9))]
    data = pair_batches(histories_of(sets, 9), 3, 8, num_candidates=9, seed=0)
    epochs = []
    for epoch in range(2):
        rows = [
            (int(user), *items.tolist())
            for batch in data.epoch(epoch)
            for user, items in zip(batch["user"], batch["items"], strict=True)
        ]
        # the last user has had everything: nothing can be told apart from what he had
        assert sorted(row[:2] for row in rows) == [(0, 0), (0, 1), (0, 2), (1, 3)]
        assert all(item not in sets[row[0]] for row in rows for item in row[2:])
        epochs.append(sorted(rows))
    assert epochs[0] != epochs[1]
