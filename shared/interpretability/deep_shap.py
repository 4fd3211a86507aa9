"""DeepSHAP for feed-forward networks: DeepLIFT's rescale rule averaged over every background row.

Sources: Shrikumar et al. 2017 (arXiv 1704.02685, rescale rule), Lundberg and Lee 2017 (arXiv 1705.07874). The
same quantity as shap's DeepExplainer and captum's DeepLiftShap. What differs is the arithmetic:

* the background runs through the network once, and rows and background meet only in the (background, rows,
  width) slopes of the activations, in chunks that stay in the processor's cache;
* mean_b m_b (x - b) = x mean_b m_b - mean_b m_b b is one matrix product with the background itself, so that
  (background, rows, features) is never built;
* a ReLU's quotient loses no digits unless both pre-activations are equal, so it is taken without a guard and
  the few rows that show a 0/0 are computed again with one.

Measured 2026-11 for 23-64-64-1 with 100 background rows on 2 cores: see tests/benchmarks/explanations.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.affine import compiled
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining

# Slopes in flight per pass: 320,000 float32 numbers are 1.3 MB, about one core's L2 cache (2026-11, AMD EPYC,
# 2 cores: 86,000 explanations/s here, 76,000 with 1.6 times as many, 56,000 with a third).
CPU_PAIRS = 320_000
CUDA_PAIRS = 32_000_000
ROWS_PER_BLOCK = 4096


def deep_shap(
    network: nn.Module | Sequence[nn.Module],
    rows: Tensor,
    background: Tensor,
    *,
    output: int | None = None,
    names: Sequence[str] = (),
    target: str = "network output",
    unit: str = "",
) -> Attribution:
    """Attributes each row's output to its features, against the mean output over the background rows.

    `network` is an `nn.Sequential` (nested ones are fine) of Linear, BatchNorm1d, Dropout, Identity and
    elementwise activations, or a sequence of such networks whose mean output is explained. `rows` is (rows,
    features), `background` (background rows, features). `output` chooses the column when the network has
    several. Values have shape (rows, features); positive ones raised the output. Anything else in the
    network, such as LayerNorm or an LSTM, is a RequestError: the rescale rule has no exact form there, and a
    silent approximation would look right.
    """
    members = [network] if isinstance(network, nn.Module) else list(network)
    if not members:
        raise RequestError("Expected at least one network to explain. Received an empty list.")
    rows, background = _checked(rows, background, members[0])
    with explaining(*members), torch.no_grad():
        explainers = [_Member(member, background, output) for member in members]
        values, outputs = torch.zeros_like(rows), rows.new_zeros(len(rows))
        for explainer in explainers:
            for start in range(0, len(rows), ROWS_PER_BLOCK):
                block = slice(start, start + ROWS_PER_BLOCK)
                phi, score = explainer.explain(rows[block])
                values[block] += phi / len(members)
                outputs[block] += score / len(members)
    return Attribution(
        values=values.cpu().numpy(),
        names=tuple(names),
        target=target,
        baseline=f"mean over {len(background)} background rows",
        method="DeepSHAP (rescale rule, all background rows)",
        unit=unit,
        base_value=float(np.mean([explainer.base_value for explainer in explainers])),
        output=outputs.cpu().numpy(),
    )


@dataclass(frozen=True, slots=True)
class _Trace:
    """Per hidden layer, for some rows: pre-activations, activations and derivatives, each (rows, width)."""

    before: list[Tensor]
    after: list[Tensor]
    slopes: list[Tensor]
    score: Tensor

    def part(self, rows: slice | Tensor) -> "_Trace":
        before, after, slopes = (
            [tensor[rows] for tensor in tensors] for tensors in (self.before, self.after, self.slopes)
        )
        return _Trace(before, after, slopes, self.score[rows])


class _Member:
    """One network with its background, ready to explain rows."""

    def __init__(self, network: nn.Module, background: Tensor, output: int | None) -> None:
        self.layers = compiled(network, background, output)
        self.background = background
        self.trace = self._run(background)
        _require_same_outputs(network, background, output or 0, self.trace.score)
        self.base_value = float(self.trace.score.double().mean())
        # The ones column makes the same product deliver the mean multiplier as well.
        ones = background.new_ones(len(background), 1)
        self.averaging = torch.cat([background, ones], 1) / len(background)
        self.weights = [layer.weight.contiguous() for layer in self.layers]
        if len(self.layers) > 1:
            # The output's weights scale the matrix below, not the slopes: a product less, and the quotient
            # keeps the exactness that equal roundings of numerator and denominator give it.
            top = self.weights.pop()
            self.weights[-1] = top.reshape(-1, 1) * self.weights[-1]

    def explain(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Values (rows, features) and outputs (rows,)."""
        trace = self._run(rows)
        if len(self.layers) == 1:
            return self.weights[0] * (rows - self.background.mean(0)), trace.score
        values = self._in_chunks(rows, trace, guarded=False)
        equal = (~torch.isfinite(values).all(1)).nonzero().squeeze(1)
        if len(equal):
            values[equal] = self._in_chunks(rows[equal], trace.part(equal), guarded=True)
        return values, trace.score

    def _run(self, rows: Tensor) -> _Trace:
        trace, hidden = _Trace([], [], [], rows.new_empty(0)), rows
        for layer in self.layers:
            before = torch.addmm(layer.bias, hidden, layer.weight.T)
            if layer.activation is None:
                return _Trace(trace.before, trace.after, trace.slopes, before.squeeze(1))
            hidden = layer.activation(before)
            trace.before.append(before)
            trace.after.append(hidden)
            trace.slopes.append(layer.slopes_at(before))
        raise AssertionError("the last layer of a compiled network has no activation")

    def _in_chunks(self, rows: Tensor, trace: _Trace, *, guarded: bool) -> Tensor:
        width = max(len(layer.bias) for layer in self.layers[:-1])
        pairs = max(1, (CUDA_PAIRS if rows.is_cuda else CPU_PAIRS) // width)
        num_background = min(len(self.background), pairs)
        num_rows = min(max(1, pairs // num_background), max(1, len(rows)))
        buffers = [rows.new_empty(num_background * num_rows * width) for _ in range(3)]
        values = torch.empty_like(rows)
        for start in range(0, len(rows), num_rows):
            chunk = slice(start, start + num_rows)
            part, x = trace.part(chunk), rows[chunk]
            moments = self._moments(part, len(x), num_background, buffers, guarded)
            mean_multiplier, mean_product = moments[..., -1:], moments[..., :-1]
            values[chunk] = ((x[:, None] * mean_multiplier - mean_product) * self.weights[0]).sum(1)
        return values

    def _moments(
        self, part: _Trace, num_rows: int, block: int, buffers: list[Tensor], guarded: bool
    ) -> Tensor:
        """Mean over the background of m_b [b, 1], of shape (rows, first width, features + 1)."""
        width = self.weights[0].shape[0]
        moments = self.background.new_zeros(num_rows * width, self.averaging.shape[1])
        for start in range(0, len(self.background), block):
            rows = slice(start, start + block)
            multipliers = self._multipliers(part, self.trace.part(rows), buffers, guarded)
            moments.addmm_(multipliers.view(-1, num_rows * width).T, self.averaging[rows])
        return moments.view(num_rows, width, -1)

    def _multipliers(self, x: _Trace, b: _Trace, buffers: list[Tensor], guarded: bool) -> Tensor:
        """DeepLIFT multipliers of the first pre-activations, of shape (background, rows, first width)."""
        upper, spare, scratch = buffers
        last = len(self.layers) - 2
        for depth in range(last, -1, -1):
            shape = (len(b.score), len(x.score), x.before[depth].shape[1])
            size = shape[0] * shape[1] * shape[2]
            slopes, distance = spare[:size].view(shape), scratch[:size].view(shape)
            torch.sub(x.after[depth], b.after[depth][:, None], out=slopes)
            torch.sub(x.before[depth], b.before[depth][:, None], out=distance)
            if guarded or not isinstance(self.layers[depth].activation, nn.ReLU):
                _quotient(slopes, distance, x, b, depth)
            else:
                slopes.div_(distance)
            if depth < last:
                slopes.mul_(upper[:size].view(shape))
            if depth > 0:
                weight = self.weights[depth]
                below = upper[: shape[0] * shape[1] * weight.shape[1]].view(-1, weight.shape[1])
                torch.mm(slopes.view(-1, weight.shape[0]), weight, out=below)
        return slopes


def _quotient(slopes: Tensor, distance: Tensor, x: _Trace, b: _Trace, depth: int) -> None:
    """Turns activation differences into slopes, or mean derivatives where the distance is too small.

    At a relative distance of 1e-3 the quotient has lost three of float32's seven digits, and the mean of the
    derivatives at both ends is off by distance^2 / 12 times the third derivative, less than 1e-7 of it.
    """
    near = distance.abs() <= x.before[depth].abs().clamp(max=1.0) * 1e-3
    slopes.div_(distance)
    derivative = (x.slopes[depth] + b.slopes[depth][:, None]) / 2
    torch.where(near, derivative, slopes, out=slopes)


def _require_same_outputs(network: nn.Module, background: Tensor, output: int, score: Tensor) -> None:
    """A hook or an overridden forward can make a network more than its layers: then these explain nothing."""
    dtype = next(network.parameters(), background).dtype
    expected = network(background.to(dtype))[:, output].to(score.dtype)
    if not torch.allclose(expected, score, rtol=1e-2, atol=1e-3 * float(score.abs().max().clamp(min=1e-3))):
        raise RequestError(
            "Expected a network that is the sequence of its layers. Received one whose outputs differ from"
            " that: use expected_gradients, which explains any differentiable model."
        )


def _checked(rows: Tensor, background: Tensor, network: nn.Module) -> tuple[Tensor, Tensor]:
    """Both tables on the network's device, in its precision but at least float32."""
    if rows.ndim != 2 or background.ndim != 2 or rows.shape[1] != background.shape[1] or not len(background):
        raise RequestError(
            "Expected rows (n, features) and background (at least one row, the same features)."
            f" Received {tuple(rows.shape)} and {tuple(background.shape)}."
        )
    parameter = next(network.parameters(), rows)
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    converted = tuple(table.detach().to(parameter.device, dtype).contiguous() for table in (rows, background))
    for name, table in zip(("rows", "background"), converted, strict=True):
        if not torch.isfinite(table).all():
            raise RequestError(
                f"Expected finite numbers to explain. Received NaN or infinity in the {name}: fill or drop"
                " them as the training data did."
            )
    return converted[0], converted[1]
