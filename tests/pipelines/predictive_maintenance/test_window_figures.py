"""The figure of contributions over time: strongest rows first, nothing where nothing is, safe to inline."""

import numpy as np
import pytest

from pipelines.predictive_maintenance.window_figures import contributions_over_time
from shared.publishing.svg import inline_svg


def drawn(names: list[str], values: np.ndarray, **options: object) -> str:
    return contributions_over_time(names, values, np.arange(values.shape[1]), x="Time", **options)


def test_strongest_parts_are_drawn_first_and_only_so_many():
    values = np.array([[1.0, 0.0], [-5.0, -5.0], [3.0, 0.0]])
    figure = drawn(["faint", "strong", "second"], values, max_rows=2)
    assert 0 < figure.index("strong") < figure.index("second")
    assert "faint" not in figure


def test_cells_without_a_contribution_are_not_drawn():
    few, many = np.zeros((2, 50)), np.ones((2, 50))
    few[0, 0] = 1.0
    assert len(drawn(["a", "b"], few)) < len(drawn(["a", "b"], many)) / 2


@pytest.mark.parametrize(
    "values", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.zeros((0, 0))], ids=["zeros", "nan", "empty"]
)
def test_figure_says_why_it_is_empty(values):
    assert "Not drawn" in contributions_over_time(
        ["part"] * len(values), values, np.arange(values.shape[1]), x="Time"
    )


def test_strip_has_its_title_and_the_page_can_hold_the_drawing():
    figure = drawn(["$a$", "b"], np.ones((2, 4)), strip=np.arange(4.0), strip_title="Evidence", unit="cycles")
    assert "Evidence" in figure
    assert "cycles a reading" in figure
    assert "$a$" in inline_svg(figure, "d1-", "alt")


def test_same_numbers_give_the_same_drawing():
    values = np.random.default_rng(0).normal(size=(3, 8))
    assert drawn(["a", "b", "c"], values) == drawn(["a", "b", "c"], values)


def test_empty_strip_is_drawn_flat():
    assert "Evidence" in drawn(["a"], np.ones((1, 3)), strip=np.zeros(3), strip_title="Evidence")
