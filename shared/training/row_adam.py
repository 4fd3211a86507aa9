"""Adam for large embedding tables: only the rows that occur in the batch are read and written."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from shared.errors import RequestError


class RowAdam(torch.optim.Optimizer):
    """Adam over tables with sparse gradients, at a cost that depends on the batch and not on the table.

    Moments and weights of rows outside the batch stay as they are; the bias correction counts all steps. The
    touched rows get exactly the arithmetic of dense Adam, because torch's fused kernel does it on a copy of
    them: when every row occurs in every batch the result is that of dense Adam. From torch.optim.SparseAdam it
    differs in weight decay and in where epsilon stands, which matters only for gradients near epsilon.

    Faster than the dense fused kernel from about 20,000 rows on, when a table has ten times as many rows as an
    update looks up in it (2 cores, 2026-11, tests/benchmarks/training.py).

    params: of shape (num_rows, num_features), on CPU or CUDA. weight_decay: of touched rows only, so a rare
    row decays rarely; decoupled as in AdamW, or L2 in the gradient as in Adam. State: `step`, `exp_avg` and
    `exp_avg_sq` by table as in Adam, and 8 bytes of scratch memory per row, which no checkpoint needs.

    Raises RequestError for a parameter that is no table, and at `step` for a dense gradient.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = True,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        # "fused" is what makes load_state_dict put `step` onto the device of its table.
        super().__init__(params, {**options, "fused": True})
        self._scratch: dict[nn.Parameter, Tensor] = {}
        for table in (each for group in self.param_groups for each in group["params"]):
            if table.ndim != 2:
                raise RequestError(
                    f"Expected tables of shape (num_rows, num_features). Received {tuple(table.shape)}."
                )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every table that has a gradient. There is no closure."""
        for group in self.param_groups:
            tables = [table for table in group["params"] if table.grad is not None]
            if tables:
                self._update(tables, group)

    def _update(self, tables: list[nn.Parameter], group: dict) -> None:
        states = [self._state_of(table) for table in tables]
        touched = [self._touched(table) for table in tables]
        stored = [
            [table.detach() for table in tables],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
        ]
        weights, averages, squares = copies = [
            [whole.index_select(0, rows) for whole, (rows, _) in zip(wholes, touched, strict=True)]
            for wholes in stored
        ]
        adam(
            weights,
            [gradient for _, gradient in touched],
            averages,
            squares,
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            decoupled_weight_decay=group["decoupled"],
            eps=group["eps"],
            maximize=False,
        )
        for wholes, parts in zip(stored, copies, strict=True):
            for whole, part, (rows, _) in zip(wholes, parts, touched, strict=True):
                whole.index_copy_(0, rows, part)

    def _state_of(self, table: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=table.device)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        return state

    def _touched(self, table: nn.Parameter) -> tuple[Tensor, Tensor]:
        gradient = sparse_gradient(table)
        assert gradient is not None
        if table not in self._scratch:
            self._scratch[table] = torch.empty(len(table), dtype=torch.int64, device=table.device)
        return sum_by_row(gradient, self._scratch[table])


def sparse_gradient(table: nn.Parameter) -> Tensor | None:
    """The gradient of a table. RequestError when it is dense."""
    if table.grad is not None and not table.grad.is_sparse:
        raise RequestError(
            f"Expected a sparse gradient for the table of shape {tuple(table.shape)}. Received a dense one: "
            "something else than its embedding with sparse=True reads it too. Set sparse=False."
        )
    return table.grad


def sum_by_row(gradient: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a sparse gradient, each once and in no particular order, and the sum of each one's values.

    gradient: COO of shape (num_rows, num_features), rows sparse. scratch: int64 of shape (num_rows,), of any
    content, which is overwritten at the touched rows. Returned: shapes (num_touched,) and (num_touched,
    num_features), which may share memory with the gradient.

    `coalesce` does the same by sorting: as fast for 2,048 entries of 40 features, 2.5 to 3.5 times slower for
    16,384 (2 cores, 2026-11).
    """
    rows, values = gradient._indices()[0], gradient._values()
    if gradient.is_coalesced():
        return rows, values
    numbers = torch.arange(len(rows), device=rows.device)
    scratch.index_copy_(0, rows, numbers)  # equal rows write to one place, and one of them stays
    stayed = scratch.index_select(0, rows) == numbers
    kept = stayed.nonzero().squeeze(1)  # CPU-GPU sync point
    unique, sums = rows.index_select(0, kept), values.index_select(0, kept)
    if len(kept) < len(rows):
        scratch.index_copy_(0, unique, numbers[: len(kept)])
        rest = stayed.logical_not().nonzero().squeeze(1)
        target = scratch.index_select(0, rows.index_select(0, rest))
        sums.index_add_(0, target, values.index_select(0, rest))
    return unique, sums
