import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.errors import RequestError
from shared.training.row_adam import RowAdam, sum_by_row


def table_of(num_rows=7, num_features=3):
    return nn.Parameter(
        torch.randn(num_rows, num_features, generator=torch.Generator().manual_seed(num_rows))
    )


def sparse(rows, values, num_rows=7):
    rows = torch.tensor(rows, dtype=torch.int64)
    with torch.sparse.check_sparse_tensor_invariants(False):
        return torch.sparse_coo_tensor(rows[None], values, (num_rows, values.shape[1]))


def gradients(batches, num_rows=7, num_features=3):
    """One uncoalesced gradient per batch of row numbers, each with values of its own."""
    generator = torch.Generator().manual_seed(5)
    return [
        sparse(rows, torch.randn(len(rows), num_features, generator=generator), num_rows) for rows in batches
    ]


def train(optimizer, table, every, *, dense=False):
    for gradient in every:
        table.grad = gradient.to_dense() if dense else gradient.clone()
        optimizer.step()
    return table.detach()


BATCHES = [[2, 2, 5], [5, 0, 2, 2], [], [6], [0, 0, 0, 0], [2, 6]]


def test_update_equals_sparse_adam_of_torch_with_duplicate_rows_and_empty_batches():
    mine, theirs = table_of(), table_of()
    train(RowAdam([mine], lr=0.1), mine, gradients(BATCHES))
    train(torch.optim.SparseAdam([theirs], lr=0.1), theirs, gradients(BATCHES))
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("decoupled", [True, False], ids=["adamw", "adam"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_update_equals_dense_adam_when_every_row_occurs_in_every_batch(weight_decay, decoupled):
    every = gradients([[*range(7), 3, 3], [6, 1, 0, 2, 5, 4, 3], [*range(7), *range(7)]])
    mine, theirs = table_of(), table_of()
    train(RowAdam([mine], lr=0.1, weight_decay=weight_decay, decoupled=decoupled), mine, every)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    train(kind([theirs], lr=0.1, weight_decay=weight_decay, fused=True), theirs, every, dense=True)
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@given(
    batches=st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=5),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_rows_outside_the_batches_keep_every_bit_and_the_others_follow_adam(batches, weight_decay):
    table, before = table_of(), table_of().detach()
    optimizer = RowAdam([table], lr=0.1, weight_decay=weight_decay)
    every = gradients(batches)
    after = train(optimizer, table, every).clone()
    touched = sorted({row for rows in batches for row in rows})
    outside = [row for row in range(7) if row not in touched]
    state = optimizer.state[table]
    assert torch.equal(after[outside], before[outside])
    assert not state["exp_avg"][outside].any()
    assert state["step"] == len(batches)
    torch.testing.assert_close(after[touched], by_hand(before, every, weight_decay)[touched])


def by_hand(weights, every, weight_decay, rate=0.1, beta1=0.9, beta2=0.999):
    """Adam of one row at a time, in double precision."""
    weights = weights.double().clone()
    average, square = torch.zeros_like(weights), torch.zeros_like(weights)
    for step, gradient in enumerate(every, start=1):
        for row in set(gradient._indices()[0].tolist()):
            slope = gradient.to_dense()[row].double()
            weights[row] *= 1 - rate * weight_decay
            average[row] = beta1 * average[row] + (1 - beta1) * slope
            square[row] = beta2 * square[row] + (1 - beta2) * slope**2
            spread = (square[row] / (1 - beta2**step)).sqrt() + 1e-8
            weights[row] -= rate * average[row] / (1 - beta1**step) / spread
    return weights.float()


@given(rows=st.lists(st.integers(0, 6), max_size=30))
@settings(max_examples=60, deadline=None)
def test_sums_by_row_are_those_of_coalesce_whatever_the_scratch_memory_holds(rows):
    [gradient] = gradients([rows])
    scratch = torch.randint(-(2**40), 2**40, (7,), generator=torch.Generator().manual_seed(len(rows)))
    touched, sums = sum_by_row(gradient, scratch)
    expected = gradient.coalesce()
    order = touched.argsort()
    assert torch.equal(touched[order], expected.indices()[0])
    torch.testing.assert_close(sums[order], expected.values())
    again = sum_by_row(expected, scratch)
    assert torch.equal(again[0], expected.indices()[0])
    assert torch.equal(again[1], expected.values())


def test_step_leaves_the_gradient_as_it_was():
    table = table_of()
    for gradient in (*gradients([[3, 1]]), *[each.coalesce() for each in gradients([[3, 1]])]):
        table.grad = gradient
        before = gradient.to_dense()
        RowAdam([table], weight_decay=0.5, decoupled=False).step()
        assert torch.equal(table.grad.to_dense(), before)


def test_state_survives_a_state_dict_and_goes_on_bit_for_bit():
    every = gradients(BATCHES)
    whole, first, second = table_of(), table_of(), table_of()
    train(RowAdam([whole]), whole, every)
    early = RowAdam([first])
    second.data = train(early, first, every[:3]).clone()
    late = RowAdam([second])
    late.load_state_dict(early.state_dict())
    assert torch.equal(train(late, second, every[3:]), whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_update_on_cuda_equals_the_update_on_the_cpu():
    here, there = table_of(), nn.Parameter(table_of().detach().cuda())
    train(RowAdam([here], lr=0.1), here, gradients(BATCHES))
    train(RowAdam([there], lr=0.1), there, [each.cuda() for each in gradients(BATCHES)])
    torch.testing.assert_close(here, there.cpu(), rtol=1e-5, atol=1e-6)


def test_dense_gradient_is_refused_with_the_way_out():
    table = table_of()
    table.grad = torch.ones_like(table)
    with pytest.raises(RequestError, match=r"Received a dense one.*Set sparse=False"):
        RowAdam([table]).step()


def test_parameter_that_is_no_table_is_refused():
    with pytest.raises(RequestError, match=r"Expected tables.*Received \(4,\)"):
        RowAdam([nn.Parameter(torch.zeros(4))])
