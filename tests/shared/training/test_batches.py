import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import RequestError
from shared.training import batches as batches_module
from shared.training.batches import DeviceBatches, tensors_digest
from shared.training.prefetch import PrefetchBatches, TensorSource, auto_batches

CPU = torch.device("cpu")


def rows(num_rows):
    return {"row": torch.arange(num_rows), "double": torch.arange(num_rows).float().unsqueeze(1) * 2}


def seen(batches, epoch=0, start=0):
    return [batch["row"].tolist() for batch in batches.epoch(epoch, start)]


@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    epoch=st.integers(0, 3),
    prefetch=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_row_comes_once_per_epoch_and_names_stay_aligned(num_rows, batch_size, epoch, prefetch):
    tensors = rows(num_rows)
    batches = (
        PrefetchBatches(TensorSource(tensors), batch_size, seed=1)
        if prefetch
        else DeviceBatches(tensors, batch_size, seed=1)
    )
    given_batches = list(batches.epoch(epoch))
    assert sorted(row for batch in given_batches for row in batch["row"].tolist()) == list(range(num_rows))
    assert all(torch.equal(batch["double"][:, 0], batch["row"] * 2.0) for batch in given_batches)
    assert [len(batch["row"]) for batch in given_batches] == [
        batches.rows_in(0, i) for i in range(len(batches))
    ]


@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    start=st.integers(0, 60),
    per_chunk=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_epoch_entered_in_the_middle_continues_with_the_same_batches(num_rows, batch_size, start, per_chunk):
    batches = DeviceBatches(rows(num_rows), batch_size, seed=1)
    batches._batches_per_chunk = lambda tensors: per_chunk
    assert seen(batches, 2, start) == seen(batches, 2)[start:]


@given(
    num_rows=st.integers(1, 50), batch_size=st.integers(1, 20), world=st.integers(1, 5), shuffle=st.booleans()
)
@settings(max_examples=40, deadline=None)
def test_parts_of_all_processes_make_up_the_global_batch(num_rows, batch_size, world, shuffle):
    whole = DeviceBatches(rows(num_rows), batch_size, seed=1, shuffle=shuffle)
    parts = [seen(whole.shard(rank, world), 3) for rank in range(world)]
    joined = [[row for part in batch for row in part] for batch in zip(*parts, strict=True)]
    assert joined == seen(whole, 3)


def test_batch_keeps_its_memory_alignment_wherever_the_epoch_is_entered():
    batches = DeviceBatches(rows(60), 7, seed=1)
    offsets = [batch["row"].storage_offset() for batch in batches.epoch(0)]
    assert [batch["row"].storage_offset() for batch in batches.epoch(0, 4)] == offsets[4:]


def test_prefetched_order_equals_resident_order():
    tensors = rows(53)
    resident = DeviceBatches(tensors, 8, seed=4)
    ahead = PrefetchBatches(TensorSource(tensors), 8, seed=4, num_threads=3, depth=2)
    assert seen(ahead, 1, 2) == seen(resident, 1, 2)
    assert seen(ahead.shard(1, 3), 1) == seen(resident.shard(1, 3), 1)


def test_orders_differ_between_epochs_and_between_seeds_but_repeat():
    first = DeviceBatches(rows(50), 50, seed=0)
    second = DeviceBatches(rows(50), 50, seed=1)
    orders = [seen(first, 0), seen(first, 1), seen(second, 0), seen(second, 1)]
    assert len({str(order) for order in orders}) == 4
    assert seen(first, 1) == orders[1]


def test_drawing_batches_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    seen(DeviceBatches(rows(20), 4, seed=0))
    assert torch.equal(before, torch.get_rng_state())


def test_kept_batches_are_not_overwritten_by_later_ones():
    batches = DeviceBatches(rows(40), 8, seed=0)
    kept = list(batches.epoch(0))
    copies = [batch["row"].clone() for batch in kept]
    list(batches.epoch(1))
    assert all(torch.equal(batch["row"], copy) for batch, copy in zip(kept, copies, strict=True))


def test_drop_last_leaves_out_the_short_batch():
    batches = DeviceBatches(rows(10), 4, seed=0, drop_last=True)
    assert [len(batch) for batch in seen(batches)] == [4, 4]


def test_sampler_decides_the_rows_and_its_length_the_epoch():
    batches = DeviceBatches(rows(5), 4, seed=0, sampler=lambda epoch: torch.full((10,), epoch))
    assert len(batches) == 3
    assert seen(batches, 3) == [[3] * 4, [3] * 4, [3] * 2]


def test_sampler_that_changes_its_length_is_refused():
    batches = DeviceBatches(
        rows(5), 2, seed=0, sampler=lambda epoch: torch.zeros(4 + epoch, dtype=torch.int64)
    )
    with pytest.raises(RequestError, match="4 row indices"):
        seen(batches, 1)


def test_on_epoch_replaces_tensors_for_that_epoch_only():
    def hook(epoch):
        return {} if epoch == 0 else {"double": torch.full((6, 1), float(epoch))}

    batches = DeviceBatches(rows(6), 6, seed=0, on_epoch=hook)
    assert set(next(batches.epoch(2))["double"].flatten().tolist()) == {2.0}
    assert set(next(batches.epoch(0))["double"].flatten().tolist()) == {0.0, 2.0, 4.0, 6.0, 8.0, 10.0}


@pytest.mark.parametrize("wrong", [{"other": torch.zeros(6)}, {"row": torch.zeros(5)}])
def test_on_epoch_with_unknown_names_or_lengths_is_refused(wrong):
    with pytest.raises(RequestError, match="6 rows"):
        seen(DeviceBatches(rows(6), 2, seed=0, on_epoch=lambda epoch: wrong))


@pytest.mark.parametrize(
    ("tensors", "options"),
    [
        ({}, {}),
        ({"a": torch.zeros(0, 3)}, {}),
        ({"a": torch.tensor(1.0)}, {}),
        ({"a": torch.zeros(3), "b": torch.zeros(4)}, {}),
        ({"a": torch.zeros(3)}, {"batch_size": 0}),
        ({"a": torch.zeros(3)}, {"batch_size": 4, "drop_last": True}),
    ],
)
def test_data_without_a_batch_is_refused(tensors, options):
    with pytest.raises(RequestError, match="Expected"):
        DeviceBatches(tensors, **{"batch_size": 2, "seed": 0, **options})


def test_digest_sees_every_value_the_names_and_the_plan(monkeypatch):
    monkeypatch.setattr(batches_module, "_HASHED_AT_ONCE", 64)
    tensors = rows(100)
    changed = {**tensors, "double": tensors["double"].clone()}
    changed["double"][99] += 1
    renamed = {"row": tensors["row"], "twice": tensors["double"]}
    assert len({tensors_digest(each) for each in (tensors, changed, renamed)}) == 3
    assert tensors_digest(tensors) == tensors_digest(rows(100))
    plans = [DeviceBatches(tensors, size, seed=seed) for size, seed in ((4, 0), (5, 0), (4, 1))]
    assert len({plan.digest() for plan in plans}) == 3


def test_digest_takes_bfloat16_and_strided_tensors():
    strided = torch.arange(20, dtype=torch.bfloat16).reshape(4, 5).t()
    assert tensors_digest({"a": strided}) == tensors_digest({"a": strided.contiguous()})


class FailingSource(TensorSource):
    def read(self, indices):
        if 7 in indices:
            raise OSError("the disk is gone")
        return super().read(indices)


def test_error_in_a_reading_thread_reaches_the_caller():
    batches = PrefetchBatches(FailingSource(rows(20)), 2, seed=0, shuffle=False)
    delivered = []
    with pytest.raises(OSError, match="disk is gone"):
        delivered.extend(batch["row"].tolist() for batch in batches.epoch(0))
    assert batches.source is not None


def test_batches_before_the_failing_one_are_delivered():
    iterator = PrefetchBatches(FailingSource(rows(20)), 2, seed=0, shuffle=False).epoch(0)
    assert [next(iterator)["row"].tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(OSError, match="disk is gone"):
        next(iterator)


def test_leaving_an_epoch_early_ends_its_threads_and_reads_no_further():
    import threading

    class CountingSource(TensorSource):
        reads = 0

        def read(self, indices):
            self.reads += 1
            return super().read(indices)

    source = CountingSource(rows(1000))
    iterator = PrefetchBatches(source, 2, seed=0, depth=3).epoch(0)
    next(iterator)
    iterator.close()
    assert source.reads <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_source_that_returns_too_few_rows_is_refused():
    class ShortSource(TensorSource):
        def read(self, indices):
            return super().read(indices[1:])

    with pytest.raises(RequestError, match=r"Expected the source to return 4 rows\. Received 3"):
        next(PrefetchBatches(ShortSource(rows(8)), 4, seed=0).epoch(0))


def test_auto_batches_goes_by_the_budget_and_says_so():
    small = auto_batches(rows(100), 10, seed=0, device=CPU)
    large = auto_batches(rows(100), 10, seed=0, device=CPU, budget_bytes=100)
    assert isinstance(small, DeviceBatches)
    assert isinstance(large, PrefetchBatches)
    assert "fit" in small.reason
    assert "exceed" in large.reason
    assert seen(small) == seen(large)
