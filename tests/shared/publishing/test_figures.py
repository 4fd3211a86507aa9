import re
import sys
import threading
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.publishing import explanation_figures, figures, run_figures
from shared.publishing.figure_style import BLUE, literal, shorten

RNG = np.random.default_rng(0)
LABELS = (RNG.random(300) < 0.3).astype(int)
SCORES = np.clip(0.3 * LABELS + RNG.random(300) * 0.7, 0, 1)
SHOWN = [1, "a", None, 2.5, -1]
NAMES = ["speed", "<script>", "cost in $ and $", "_hidden", "x" * 90]
VALUES = RNG.normal(size=(60, 5))
HISTORY = [{"epoch": epoch, "train/loss": 1 / (epoch + 1), "validation/loss": 0.5} for epoch in range(9)]
METRIC = {"value": 0.8, "low": 0.7, "high": 0.9, "unit": "", "higher_is_better": True, "n": 20}

OUTSIDE = {"difference": 0.051, "low": 0.0304, "high": 0.0711, "outside_noise": True}
WITHIN = {"difference": -0.0004, "low": -0.011, "high": 0.0102, "outside_noise": False}

Draw = Callable[[], str]
EVERY: dict[str, Draw] = {
    "roc": lambda: figures.roc(LABELS, {"model": SCORES, "<b>": 1 - SCORES}),
    "precision_recall": lambda: figures.precision_recall(LABELS, {"model": SCORES}),
    "reliability": lambda: figures.reliability(LABELS, SCORES),
    "score_distribution": lambda: figures.score_distribution(LABELS, SCORES, cut_offs={"stop": 0.4}),
    "cost_curve": lambda: figures.cost_curve([0, 0.5, 1], {"model": [3, 1, 2]}, chosen=0.5, unit="units"),
    "metric_forest": lambda: run_figures.metric_forest({"AUC": {"model": METRIC, "linear": METRIC}}),
    "difference_forest": lambda: run_figures.difference_forest({"<b>": OUTSIDE, "b": WITHIN}, x="first minus second"),
    "training_curves": lambda: run_figures.training_curves(HISTORY, best_epoch=3),
    "importance_bars": lambda: explanation_figures.importance_bars(NAMES, VALUES),
    "contribution_bars": lambda: explanation_figures.contribution_bars(NAMES, VALUES[0], unit="points"),
    "beeswarm": lambda: explanation_figures.beeswarm(NAMES, VALUES, VALUES),
    "waterfall": lambda: explanation_figures.waterfall(NAMES, VALUES[0], base_value=0.1, values=SHOWN),
}  # fmt: skip
nan, inf = float("nan"), float("inf")
DEGENERATE: dict[str, Draw] = {
    "no rows": lambda: figures.roc([], {"model": []}),
    "one class": lambda: figures.precision_recall([1, 1], {"model": [0.1, 0.2]}),
    "only NaN": lambda: figures.reliability([0, 1], [nan, inf]),
    "no rows to distribute": lambda: figures.score_distribution([], []),
    "no model": lambda: run_figures.metric_forest({}),
    "no value": lambda: run_figures.metric_forest({"AUC": {"model": {**METRIC, "value": None}}}),
    "no finite cost": lambda: figures.cost_curve([0.5], {"model": [nan]}),
    "no epoch": lambda: run_figures.training_curves([]),
    "no finite epoch": lambda: run_figures.training_curves([{"loss": nan}]),
    "nothing compared": lambda: run_figures.difference_forest({}, x=""),
    "difference not finite": lambda: run_figures.difference_forest(
        {"a": {**WITHIN, "difference": nan}}, x=""
    ),
    "no part contributes": lambda: explanation_figures.contribution_bars(["a", "b"], [0.0, 0.0]),
    "part not finite": lambda: explanation_figures.contribution_bars(["a"], [nan]),
    "no attribution": lambda: explanation_figures.importance_bars([], []),
    "attributions not finite": lambda: explanation_figures.beeswarm(["a"], [[nan]]),
    "case not finite": lambda: explanation_figures.waterfall(["a"], [nan], base_value=0.0),
}
EDGE: dict[str, Draw] = {
    "one row": lambda: figures.reliability([1], [0.7]),
    "one row in each class": lambda: figures.roc([0, 1], {"model": [0.5, 0.5]}),
    "constant scores": lambda: figures.score_distribution([0, 1, 1], [0.5, 0.5, 0.5]),
    "some NaN": lambda: figures.roc([0, 1, 1, 0], {"model": [0.1, 0.9, nan, 0.3]}),
    "interval missing": lambda: run_figures.metric_forest({"AUC": {"model": {"value": 0.5}}}),
    "one epoch": lambda: run_figures.training_curves([{"epoch": 0, "loss": 1.0}]),
    "epochs with gaps": lambda: run_figures.training_curves(
        [{"loss": 1.0}, {}, {"loss": nan}, {"loss": 0.5}]
    ),
    "one feature": lambda: explanation_figures.importance_bars(["a"], [[0.0]]),
    "all zero": lambda: explanation_figures.beeswarm(["a", "b"], np.zeros((4, 2)), np.full((4, 2), nan)),
    "no difference": lambda: run_figures.difference_forest(
        {"a": {**WITHIN, "difference": 0.0, "low": 0.0, "high": 0.0}}, x=""
    ),
    "difference without interval": lambda: run_figures.difference_forest(
        {"a": {**WITHIN, "low": None, "high": None}}, x=""
    ),
    "only negative parts": lambda: explanation_figures.contribution_bars(["a", "a"], [-1.0, -2.0]),
    "nothing contributes": lambda: explanation_figures.waterfall(["a"], [0.0], base_value=0.0),
}


def texts(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    return " ".join("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("name", EVERY)
def test_figure_is_a_small_clean_drawing_and_the_same_every_time(name: str) -> None:
    svg = EVERY[name]()
    assert svg == EVERY[name]()
    assert svg.startswith("<svg")
    assert len(svg) < 150_000
    assert not re.search(r"<metadata|<script|<image|<!DOCTYPE|\d{4}-\d\d-\d\dT", svg)
    assert texts(svg)


@pytest.mark.parametrize("name", DEGENERATE)
def test_data_that_cannot_be_drawn_give_the_reason(name: str) -> None:
    assert "Not drawn" in texts(DEGENERATE[name]())


@pytest.mark.parametrize("name", EDGE)
def test_edges_of_the_data_are_drawn(name: str) -> None:
    assert "Not drawn" not in texts(EDGE[name]())


def test_areas_in_the_legends_are_exact_with_ties() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores = np.round(SCORES, 1)
    assert f"{roc_auc_score(LABELS, scores):.3f}" in texts(figures.roc(LABELS, {"model": scores}))
    expected = f"{average_precision_score(LABELS, scores):.3f}"
    assert expected in texts(figures.precision_recall(LABELS, {"model": scores}))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60), st.integers(1, 12))
def test_reliability_bins_hold_every_row_once(rows: list[tuple[bool, float]], num_bins: int) -> None:
    truth = np.array([float(label) for label, _ in rows])
    score = np.array([value for _, value in rows])
    predicted, observed, low, high = figures._reliability_bins(truth, score, num_bins)
    assert 1 <= predicted.size <= num_bins
    assert np.all(np.diff(predicted) > -1e-12)
    assert np.all((low <= observed + 1e-9) & (observed <= high + 1e-9))
    assert np.all((low >= -1e-9) & (high <= 1 + 1e-9))


def test_large_tables_make_small_files() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 200_000), rng.random(200_000)
    assert len(figures.roc(labels, {"model": scores})) < 60_000
    many = rng.normal(size=(20_000, 12))
    assert len(explanation_figures.beeswarm([str(i) for i in range(12)], many, many)) < 200_000


def test_waterfall_sums_what_it_does_not_show() -> None:
    names = [f"f{index}" for index in range(20)]
    text = texts(explanation_figures.waterfall(names, np.full(20, 0.5), base_value=-1.0, max_features=5))
    assert "16 other features" in text
    assert "+8.000" in text
    assert "output 9.000" in text


def test_bars_of_a_case_are_strongest_first_and_sum_what_they_do_not_show() -> None:
    names = ["weak", "strong", "against", *(f"f{index}" for index in range(9))]
    text = texts(explanation_figures.contribution_bars(names, [0.1, 3.0, -2.0, *[0.01] * 9], max_features=4))
    assert text.index("strong") < text.index("against") < text.index("weak") < text.index("9 others")
    assert "+3.000" in text
    assert "−2.000" in text
    assert "+0.090" in text


def test_differences_are_signed_with_equal_digits_and_only_those_outside_noise_stand_out() -> None:
    svg = run_figures.difference_forest({"far": OUTSIDE, "near": WITHIN}, x="a minus b")
    assert "+0.051  (+0.030 to +0.071)" in texts(svg)
    assert "−0.000  (−0.011 to +0.010)" in texts(svg)
    assert BLUE in svg
    assert BLUE not in run_figures.difference_forest({"near": WITHIN}, x="a minus b")


def test_mismatched_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="one score for each label"):
        figures.roc([0, 1], {"model": [0.5]})


def test_global_settings_and_pyplot_stay_untouched() -> None:
    before = dict(matplotlib.rcParams)
    EVERY["roc"]()
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_figures_drawn_in_threads_are_those_drawn_alone() -> None:
    alone = EVERY["reliability"]()
    drawn: list[str] = []
    threads = [threading.Thread(target=lambda: drawn.append(EVERY["reliability"]())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [alone] * 3


def test_long_names_keep_both_ends_and_dollars_are_no_formula() -> None:
    assert shorten("a" * 20 + "b" * 20, 11) == "aaaaaaa…bbb"
    assert shorten("two\n  lines") == "two lines"
    assert literal("5 $ a $") == r"5 \$ a \$"
    assert "cost in $ and $" in texts(EVERY["importance_bars"]())
