"""Explanations per second beside shap, captum and a bare loop written by hand for this one network.

A trained 23-64-64-1 network with 100 background rows. Run: python -m tests.benchmarks.explanations [--rounds
5] [--threads 2]. Rounds are interleaved, so that the noise of a shared machine meets everyone; the ratio is
to the bare loop of the same round, and the table shows medians. The error is the mean absolute completeness
gap.
"""

import argparse
import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from shared.interpretability.deep_shap import deep_shap
from shared.interpretability.gradients import expected_gradients, integrated_gradients
from shared.interpretability.shapley import shapley_values

NUM_FEATURES, NUM_BACKGROUND, WIDTH = 23, 100, 64
Method = Callable[[Tensor], object]


def trained_network() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Network, rows to explain and background."""
    torch.manual_seed(0)
    x = torch.randn(20_000, NUM_FEATURES)
    y = (x @ torch.randn(NUM_FEATURES) + 2 * x[:, 0] * x[:, 1] - x[:, 2] ** 2 > 1).float()
    network = nn.Sequential(
        nn.Linear(NUM_FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
    for rows, labels in zip(x.split(500) * 2, y.split(500) * 2, strict=True):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(rows).squeeze(1), labels).backward()
        optimiser.step()
    network.eval().requires_grad_(False)
    return network, x[1000:6000], x[:NUM_BACKGROUND]


def bare_loops(network: nn.Sequential, background: Tensor, baseline: Tensor) -> dict[str, Method]:
    """The same quantities written out for two hidden ReLU layers, batched the obvious way."""
    first, second, last = network[0], network[2], network[4].weight[0]
    low = first(background)
    high = second(low.relu())

    def slope(a: Tensor, b: Tensor) -> Tensor:
        difference = a[:, None] - b
        quotient = (a.relu()[:, None] - b.relu()) / difference
        return torch.where(difference.abs() < 1e-6, (a[:, None] > 0).float(), quotient)

    def deep(rows: Tensor) -> Tensor:
        values = []
        for x in rows.split(50):
            a = first(x)
            upper = (slope(second(a.relu()), high) * last) @ second.weight
            gradient = (slope(a, low) * upper) @ first.weight
            values.append((gradient * (x[:, None] - background)).mean(1))
        return torch.cat(values)

    def gradient(points: Tensor) -> Tensor:
        a = first(points)
        upper = ((second(a.relu()) > 0) * last) @ second.weight
        return (upper * (a > 0)) @ first.weight

    def integrated(rows: Tensor) -> Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(50)
        alpha = torch.tensor((nodes + 1) / 2, dtype=torch.float32)[:, None]
        weight = torch.tensor(weights / 2, dtype=torch.float32)
        return torch.cat([
            torch.einsum("rnf,n->rf", gradient(baseline + alpha * span[:, None]), weight) * span
            for span in (rows - baseline).split(100)
        ])  # fmt: skip

    def expected(rows: Tensor) -> Tensor:
        values = []
        for x in rows.split(50):
            base = background[torch.randint(NUM_BACKGROUND, (len(x), 200))]
            span = x[:, None] - base
            values.append((gradient(base + torch.rand(len(x), 200, 1) * span) * span).mean(1))
        return torch.cat(values)

    return {
        "DeepSHAP": deep,
        "integrated gradients, 50 steps": integrated,
        "expected gradients, 200": expected,
    }


def methods(network: nn.Sequential, background: Tensor) -> dict[tuple[str, str], tuple[int, Method]]:
    """(what, who) -> (rows per call, function). Slow ones get fewer rows; all rates are per row."""
    import shap
    from captum import attr

    baseline = background.mean(0, keepdim=True)
    bare = bare_loops(network, background, baseline)
    deep, integrated, expected = bare
    deep_explainer = shap.DeepExplainer(network, background)
    gradient_explainer = shap.GradientExplainer(network, background)
    kernel_explainer = shap.KernelExplainer(
        lambda v: network(torch.from_numpy(v).float()).numpy().squeeze(-1), background.numpy()
    )
    captum_integrated, captum_deep = attr.IntegratedGradients(network), attr.DeepLiftShap(network)
    return {
        (deep, "bare loop"): (2000, bare[deep]),
        (deep, "fieldwork"): (5000, lambda x: deep_shap(network, x, background)),
        (deep, "shap"): (200, lambda x: deep_explainer.shap_values(x, check_additivity=False)),
        (deep, "captum"): (200, lambda x: [captum_deep.attribute(part, background) for part in x.split(5)]),
        (integrated, "bare loop"): (2000, bare[integrated]),
        (integrated, "fieldwork"): (
            5000,
            lambda x: integrated_gradients(network, x, baseline, num_steps=50, max_steps=50),
        ),
        (integrated, "captum"): (
            500,
            lambda x: captum_integrated.attribute(x, baseline, n_steps=50, internal_batch_size=1000),
        ),
        (expected, "bare loop"): (2000, bare[expected]),
        (expected, "fieldwork"): (2000, lambda x: expected_gradients(network, x, background)),
        (expected, "shap"): (50, lambda x: gradient_explainer.shap_values(x)),
        ("kernel SHAP, 2094 coalitions", "fieldwork"): (
            5,
            lambda x: shapley_values(network, x, background, method="kernel", num_coalitions=2094),
        ),
        ("kernel SHAP, 2094 coalitions", "shap"): (
            5,
            lambda x: kernel_explainer.shap_values(x.numpy(), silent=True, l1_reg=False),
        ),
    }


def completeness_gap(
    result: object, what: str, rows: Tensor, network: nn.Module, background: Tensor
) -> float:
    found = result if not isinstance(result, list) else torch.cat(result)
    values = np.asarray(getattr(found, "values", found) if not isinstance(found, Tensor) else found.detach())
    start = network(background.mean(0, keepdim=True)) if "integrated" in what else network(background).mean()
    moved = (network(rows) - start).squeeze(1).numpy()
    return float(np.abs(values.reshape(len(rows), -1).sum(1) - moved).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="run what contains this text")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network, rows, background = trained_network()
    torch.set_grad_enabled(False)
    cases = {case: run for case, run in methods(network, background).items() if options.only in case[0]}
    rates: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    gaps = {}
    for number in range(options.rounds + 1):
        for (what, who), (num_rows, method) in cases.items():
            part = rows[:num_rows]
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                torch.set_grad_enabled(who in ("captum", "shap"))
                start = time.perf_counter()
                result = method(part)
                seconds = time.perf_counter() - start
                torch.set_grad_enabled(False)
            gaps[what, who] = completeness_gap(result, what, part, network, background)
            # The first round pays for imports and warm-up.
            if number:
                rates[what, who].append(num_rows / seconds)
    print("| method | by | explanations/s | ratio to the bare loop | mean gap |\n|---|---|--:|--:|--:|")
    for what, who in cases:
        bare = rates.get((what, "bare loop"))
        ratios = [mine / other for mine, other in zip(rates[what, who], bare, strict=True)] if bare else []
        ratio = f"{statistics.median(ratios):.3g}" if ratios else ""
        rate = f"{statistics.median(rates[what, who]):,.0f}"
        print(f"| {what} | {who} | {rate} | {ratio} | {gaps[what, who]:.2g} |")


if __name__ == "__main__":
    main()
