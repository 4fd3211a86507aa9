"""The page of credit scoring as a credit officer uses it."""

from datetime import UTC, datetime

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from apps.dashboard.published import ScoreRun

FILE = "A file of applicants"


@pytest.fixture
def applications():
    from pipelines.credit_scoring.generator import generate

    return generate(120, seed=5).drop("defaulted")


def numbers(page):
    """The texts of the frames with numbers and facts."""
    return " ".join(each.proto.body for each in page.get("html"))


def scored(page, table, name="new.csv"):
    page.file_uploader(key="credit_scoring/upload").set_value((name, table, "text/csv")).run()
    return page.button(key="credit_scoring/score").click().run()


def test_the_question_the_numbers_and_the_verdict_stand_first(open_page):
    page = open_page("credit_scoring")
    assert not page.exception
    assert page.title[0].value == "Credit scoring"
    assert "Will this applicant default" in page.markdown[0].value
    banners = [*page.success, *page.info, *page.warning]
    assert any("ROC-AUC" in banner.value for banner in banners)
    assert "95 % interval" in numbers(page)
    assert "best baseline" in numbers(page)
    assert "Last score run" in numbers(page)


def test_playing_with_an_applicant_changes_the_points_as_the_scorer_says(open_page, home_of):
    page = open_page("credit_scoring")
    before = numbers(page)
    assert "as at the start" in before
    key = "credit_scoring/what-if/1/0/debt_to_income"
    slider = page.slider(key=key)
    page.slider(key=key).set_value(slider.max).run()
    assert not page.exception
    assert "points against the start" in numbers(page)


def test_an_applicant_who_is_not_approved_gets_reasons_and_a_letter(open_page):
    page = open_page("credit_scoring")
    page.slider(key="credit_scoring/what-if/1/0/debt_to_income").set_value(1.2)
    page.slider(key="credit_scoring/what-if/1/0/card_utilisation").set_value(1.0)
    page.run()
    if page.success and page.success[-1].value == "Approve.":
        pytest.fail("an applicant whose whole income is spoken for was approved")
    reasons = [text.value for text in page.text if text.value.startswith("1. ")]
    assert reasons
    assert reasons[0].removeprefix("1. ") in page.text_area[0].value


def test_a_file_is_checked_scored_and_explained(open_page, applications):
    page = scored(open_page("credit_scoring", view=FILE), applications.write_csv().encode())
    assert not page.exception
    assert not page.error
    decisions = page.dataframe[-1].value
    assert len(decisions) == 120
    assert set(decisions["decision"]) <= {"approve", "review", "decline"}


def test_rows_that_break_the_contract_are_listed_with_their_rule(open_page, applications):
    broken = applications.with_columns(
        loan_amount=pl.when(pl.int_range(pl.len()) < 2).then(-1.0).otherwise("loan_amount")
    )
    page = scored(open_page("credit_scoring", view=FILE), broken.write_csv().encode())
    assert [expander.label for expander in page.expander if "break the contract" in expander.label]
    rows = next(table.value for table in page.dataframe if "broken_rules" in table.value.columns)
    assert list(rows["row_number"]) == [1, 2]
    assert all("loan_amount" in rule for rule in rows["broken_rules"])


def test_a_file_that_breaks_the_contract_is_refused_rule_by_rule(open_page, applications):
    page = scored(
        open_page("credit_scoring", view=FILE),
        applications.with_columns(loan_amount=-1.0).write_csv().encode(),
    )
    assert "Expected at most" in page.error[0].value
    rules = page.dataframe[-1].value
    assert list(rules["column"]) == ["loan_amount"]
    assert list(rules["rows"]) == [120]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("../../etc/passwd.csv", b"a,b\n1,2\n"),
        ("<script>alert(1)</script>.csv", b"a,b\n1,2\n"),
    ],
    ids=["empty", "picture", "path as a name", "script as a name"],
)
def test_a_file_that_is_no_table_of_applicants_gives_one_message(open_page, name, content):
    page = scored(open_page("credit_scoring", view=FILE), content, name)
    assert not page.exception
    assert len(page.error) == 1
    assert "Expected" in page.error[0].value
    assert "/" not in page.error[0].value.replace("application/", "")
    assert "Traceback" not in page.error[0].value


def test_hostile_text_in_a_file_stays_text(open_page, applications):
    hostile = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) :red[x]"
    named = applications.with_columns(
        application_id=pl.concat_str(pl.lit(hostile), pl.int_range(pl.len()).cast(str))
    )
    page = scored(open_page("credit_scoring", view=FILE), named.write_csv().encode())
    assert not page.error
    assert "<img" not in numbers(page)
    assert all("<img" not in text.value for text in page.markdown)


def test_a_failed_explanation_carries_its_warning(open_page, failed_explanation):
    page = open_page("credit_scoring")
    assert any("Not faithful for this model" in error.value for error in page.error)


def test_the_fairness_audit_is_that_of_the_bundle(open_page):
    page = open_page("credit_scoring", view="Fairness")
    assert not page.exception
    measures = [table.value for table in page.dataframe]
    assert len(measures) == 2
    assert all("Gap among those who repay" in set(table["measure"]) for table in measures)


def test_a_file_that_was_scored_lately_is_opened_where_it_lies_and_stays_there(
    open_page, applications, tmp_path, monkeypatch
):
    kept, gone = tmp_path / "monday.csv", tmp_path / "sunday.csv"
    applications.write_csv(kept)
    runs = [
        ScoreRun(at=datetime(2026, 3, day, tzinfo=UTC), input=path.name, path=str(path))
        for day, path in ((3, gone), (2, kept), (1, kept))
    ]
    monkeypatch.setattr("apps.dashboard.components.upload.score_runs", lambda _: runs)
    page = open_page("credit_scoring", view=FILE)
    assert page.selectbox(key="credit_scoring/scored-before").options == ["monday.csv, 2026-03-02 00:00 UTC"]
    page.button(key="credit_scoring/score").click().run()
    assert not page.exception
    assert len(page.dataframe[-1].value) == 120
    page.button(key="credit_scoring/example").click().run()  # what was scored before is forgotten
    assert kept.exists()


def test_an_error_for_users_in_a_part_that_runs_again_by_itself_stays_a_message():
    def page():
        import streamlit as st

        from apps.dashboard.components.banners import part
        from shared.errors import RequestError

        @part
        def draw():
            if st.button("press"):
                raise RequestError("Expected less. Received more.")

        draw()

    pressed = AppTest.from_function(page, default_timeout=60).run().button[0].click().run()
    assert not pressed.exception
    assert [error.value for error in pressed.error] == ["Expected less. Received more."]
