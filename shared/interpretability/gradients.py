"""Integrated gradients and expected gradients for any differentiable model.

Sources: Sundararajan et al. 2017 (arXiv 1703.01365), Erion et al. 2021 (arXiv 1906.10670). Both average (x -
baseline) * gradient over points between baseline and row: the first along one straight line with
Gauss-Legendre nodes, the second over many baselines drawn from a background, at random places on each line.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining
from shared.interpretability.inputs import Inputs, Score
from shared.interpretability.paths import Embeddings, Ends, Paths


def integrated_gradients(
    model: nn.Module,
    inputs: Inputs,
    baseline: Inputs,
    *,
    score: Score | None = None,
    embedding: Embeddings = None,
    tolerance: float = 0.01,
    num_steps: int = 32,
    max_steps: int = 512,
    num_points: int | None = None,
    names: Sequence[str] = (),
    target: str = "model output",
    baseline_name: str = "given baseline",
    unit: str = "",
) -> Attribution:
    """Integrated gradients, with twice the steps for the rows that are not complete yet.

    `inputs` is a tensor, a tuple or a mapping of tensors whose first axis is the rows; `baseline` has the
    same structure with one row, or one for each row. `score(inputs)` returns the explained number of each
    row, by default the model's single output. With `embedding` the outputs of these layers are explained and
    summed over their last axis. Integer inputs are passed on unchanged.

    Steps start at `num_steps` and double up to `max_steps` until the gap of a row is at most `tolerance`
    times |f(x) - f(baseline)| (or the mean of that over the rows, if larger). More steps need not shrink the
    gap of every row, so the best of them is kept; the gap that remains is in the result. `num_points` bounds
    the points in one forward pass, and so the memory. One tensor keeps its shape in `values`; several are
    laid side by side, (rows, all features).
    """
    if num_steps < 1 or max_steps < num_steps:
        raise RequestError(f"Expected 1 <= num_steps <= max_steps. Received {num_steps} and {max_steps}.")
    with explaining(model):
        paths = Paths(model, score, embedding, num_points)
        here, there = paths.ends(inputs), paths.ends(baseline)
        _require_same_shape(here, there, {1, len(here)})
        output, base = paths.outputs(here), paths.outputs(there).expand(len(here))
        allowed = tolerance * (output - base).abs().clamp(min=float((output - base).abs().mean()))
        values = [torch.zeros_like(tensor) for tensor in here.explained]
        gaps = torch.full_like(output, torch.inf)
        pending, steps, used = torch.arange(len(here), device=output.device), num_steps, num_steps
        while len(pending) and steps <= max_steps:
            start = there if len(there) == 1 else there.rows(pending)
            found = _integral(paths, here.rows(pending), start, steps)
            reached = (_row_sums(found) - (output - base)[pending]).abs()
            better = reached < gaps[pending]
            for whole, part in zip(values, found, strict=True):
                whole[pending[better]] = part[better]
            gaps[pending[better]] = reached[better]
            pending, used, steps = pending[gaps[pending] > allowed[pending]], steps, steps * 2
    span = f"{num_steps}" if used == num_steps else f"{num_steps} to {used}"
    return Attribution(
        values=_side_by_side(values, paths.layers),
        names=tuple(names),
        target=target,
        baseline=baseline_name,
        method=f"integrated gradients (Gauss-Legendre, {span} steps)",
        unit=unit,
        base_value=base.detach().cpu().numpy(),
        output=output.detach().cpu().numpy(),
    )


def _integral(paths: Paths, here: Ends, there: Ends, num_steps: int) -> list[Tensor]:
    num_points = paths.limit(here)
    nodes, weights = np.polynomial.legendre.leggauss(num_steps)
    block = max(1, num_points // num_steps)
    values = [torch.zeros_like(tensor) for tensor in here.explained]
    for first in range(0, len(here), block):
        rows = slice(first, first + block)
        x, b = here.rows(rows), there if len(there) == 1 else there.rows(rows)
        per_pass = max(1, num_points // len(x))
        for step in range(0, num_steps, per_pass):
            part = slice(step, step + per_pass)
            repeated = paths.repeated(x.parts, len(nodes[part]))
            points = tuple(_between(p, q, nodes[part]) for p, q in zip(x.explained, b.explained, strict=True))
            for total, gradient in zip(values, paths.gradients(repeated, points), strict=True):
                weight = gradient.new_tensor(weights[part] / 2)
                total[rows] += (weight @ gradient.reshape(len(weight), -1)).view_as(total[rows])
        for total, p, q in zip(values, x.explained, b.explained, strict=True):
            total[rows] *= p - q
    return values


def _between(x: Tensor, baseline: Tensor, nodes: np.ndarray) -> Tensor:
    """Points baseline + (node + 1) / 2 (x - baseline), of shape (nodes * rows, ...)."""
    alpha = x.new_tensor((nodes + 1) / 2).view(-1, *[1] * x.ndim)
    return torch.addcmul(baseline, alpha, x - baseline).flatten(0, 1)


def expected_gradients(
    model: nn.Module,
    inputs: Inputs,
    background: Inputs,
    *,
    score: Score | None = None,
    embedding: Embeddings = None,
    num_samples: int = 200,
    num_points: int | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
    target: str = "model output",
    unit: str = "",
) -> Attribution:
    """Expected gradients against a background: Shapley-style values for any differentiable model.

    Works where DeepSHAP has no rule: LSTM, LayerNorm, attention, and with `embedding` for token or item
    numbers. Arguments and shapes as in `integrated_gradients`; `background` holds any number of rows. Each
    row meets every background row equally often, in a random order; the places on the lines are stratified
    and antithetic (a and 1 - a on the same line). What sampling leaves open is in the completeness error,
    which falls with `num_samples`. The same seed gives the same values.
    """
    if num_samples < 2 or num_samples % 2:
        raise RequestError(f"Expected an even num_samples of at least 2. Received {num_samples}.")
    generator = torch.Generator().manual_seed(seed)
    with explaining(model, seed=seed):
        paths = Paths(model, score, embedding, num_points)
        here, there = paths.ends(inputs), paths.ends(background)
        if not len(there):
            raise RequestError("Expected at least one background row. Received none.")
        _require_same_shape(here, there, {len(there)})
        values = [torch.zeros_like(tensor) for tensor in here.explained]
        limit = paths.limit(here)
        block = max(1, limit // num_samples)
        for first in range(0, len(here), block):
            rows = slice(first, min(first + block, len(here)))
            x = here.rows(rows)
            lines, alphas = _draws(len(x), num_samples // 2, len(there), generator, here.parts.device)
            for start in range(0, num_samples, max(1, limit // len(x))):
                part = slice(start, start + max(1, limit // len(x)))
                found = _sampled(paths, x, there, lines[part], alphas[part])
                for total, value in zip(values, found, strict=True):
                    total[rows] += value / num_samples
        output, base = paths.outputs(here), paths.outputs(there)
    return Attribution(
        values=_side_by_side(values, paths.layers),
        names=tuple(names),
        target=target,
        baseline=f"mean over {len(there)} background rows",
        method=f"expected gradients ({num_samples} samples)",
        unit=unit,
        base_value=float(base.double().mean()),
        output=output.detach().cpu().numpy(),
    )


def _sampled(paths: Paths, x: Ends, there: Ends, lines: Tensor, alphas: Tensor) -> list[Tensor]:
    """Sum over the samples of (x - b) * gradient; lines and alphas are (samples, rows)."""
    points, spans = [], []
    for row, base in zip(x.explained, there.explained, strict=True):
        start = base[lines.flatten()].view(*lines.shape, *row.shape[1:])
        spans.append(row - start)
        alpha = alphas.to(row.dtype).view(*alphas.shape, *[1] * (row.ndim - 1))
        points.append(torch.addcmul(start, alpha, spans[-1]).flatten(0, 1))
    gradients = paths.gradients(paths.repeated(x.parts, len(lines)), tuple(points))
    return [(g.reshape(span.shape) * span).sum(0) for g, span in zip(gradients, spans, strict=True)]


def _draws(
    num_rows: int, num_pairs: int, num_background: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Background row and place on the line of every sample, both (2 * pairs, rows)."""
    rounds = -(-num_pairs // num_background)
    shuffled = [torch.rand(num_rows, num_background, generator=generator).argsort(1) for _ in range(rounds)]
    lines = torch.cat(shuffled, 1)[:, :num_pairs]
    strata = torch.rand(num_rows, num_pairs, generator=generator).argsort(1)
    alphas = (strata + torch.rand(num_rows, num_pairs, generator=generator)) / (2 * num_pairs)
    both = torch.cat([lines, lines], 1).T, torch.cat([alphas, 1 - alphas], 1).T
    return both[0].to(device), both[1].to(device)


def _row_sums(values: Sequence[Tensor]) -> Tensor:
    return torch.stack([value.flatten(1).sum(1) for value in values]).sum(0)


def _side_by_side(values: Sequence[Tensor], layers: Sequence[nn.Module]) -> np.ndarray:
    tensors = [value.sum(-1) if layers else value for value in values]
    tensors = [tensor[:, None] if tensor.ndim == 1 else tensor for tensor in tensors]
    whole = tensors[0] if len(tensors) == 1 else torch.cat([tensor.flatten(1) for tensor in tensors], 1)
    return whole.detach().cpu().numpy()


def _require_same_shape(here: Ends, there: Ends, allowed_rows: set[int]) -> None:
    shapes = [[tuple(t.shape[1:]) for t in ends.explained] for ends in (here, there)]
    if shapes[0] != shapes[1] or len(there) not in allowed_rows:
        raise RequestError(
            f"Expected a baseline with the shape of the inputs, {shapes[0]} per row, and one row or one"
            f" for each. Received {shapes[1]} in {len(there)} rows for {len(here)}."
        )
