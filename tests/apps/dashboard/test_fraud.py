"""The page of fraud detection as an analyst uses it."""

import polars as pl
import pytest

KEY = "fraud_detection"


@pytest.fixture
def queue(open_page):
    page = open_page(KEY)
    return page.button(key=f"{KEY}/example").click().run()


def shown(page):
    return next(table.value for table in page.dataframe if "rank_of_day" in table.value.columns)


def test_the_queue_is_cut_at_the_budget_most_suspicious_first(queue):
    assert not queue.exception
    everything = shown(queue)
    assert list(everything["rank_of_day"]) == list(range(1, len(everything) + 1))
    queue.slider(key=f"{KEY}/alerts").set_value(2).run()
    assert list(shown(queue)["transaction_id"]) == list(everything["transaction_id"][:2])


def test_the_slider_moves_along_the_published_cost_curve(open_page, home_of, monkeypatch):
    import numpy as np

    from apps.dashboard import published

    page = open_page(KEY, view="Alert budget")
    curve = published.model(published.champion(KEY)).metrics["cost_curve"]
    page.slider(key=f"{KEY}/budget").set_value(3).run()
    assert not page.exception
    expected = float(np.interp(3, curve["alerts_per_day"], curve["cost_per_day"]))
    body = " ".join(each.proto.body for each in page.get("html"))
    assert f"{expected:,.0f}" in body


def test_a_file_without_the_columns_of_the_contract_is_refused(open_page):
    page = open_page(KEY)
    content = pl.DataFrame({"transaction_id": ["a"], "amount": [1.0]}).write_csv().encode()
    page.file_uploader(key=f"{KEY}/upload").set_value(("today.csv", content, "text/csv")).run()
    page.button(key=f"{KEY}/score").click().run()
    assert not page.exception
    assert "Expected" in page.error[0].value


def test_features_carry_the_warning_of_a_failed_check(open_page, failed_explanation):
    page = open_page(KEY, view="What alerts rest on")
    assert any("Not faithful for this model" in error.value for error in page.error)
