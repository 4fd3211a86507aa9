"""Parts that every page is made of: text of others stays text, files stay where they belong, numbers stay whole."""

import html
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from apps.dashboard.components.attribution import Part, strongest
from apps.dashboard.components.text import ago, escaped, markdown_text
from apps.dashboard.scoring import plain_name

_MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1))
def test_no_markup_comes_out_of_the_text_of_others(text):
    rendered = _MARKDOWN.renderInline(markdown_text(text))
    assert not re.search(r"<(?!br)", rendered)
    assert html.unescape(rendered).split() == text.split()


@pytest.mark.parametrize(
    "text",
    [
        "# title",
        "- list",
        "1. list",
        "> quote",
        "```\ncode",
        "a | b\n--|--",
        "<b>x</b>",
        "![x](http://evil/)",
        "===",
    ],
    ids=["title", "bullets", "numbers", "quote", "code", "table", "html", "picture", "underline"],
)
def test_blocks_of_markdown_stay_text(text):
    rendered = _MARKDOWN.render(markdown_text(text))
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p", "br"}


@given(st.text())
def test_names_of_uploads_are_names_and_nothing_more(name):
    plain = plain_name(name)
    assert plain
    assert len(plain) <= 120
    assert not plain.startswith(".")
    assert not set(plain) & set("/\\\0 \n\t'\"<>|;&$")


def test_tags_are_escaped_for_plotly_and_html():
    assert escaped('<a href="x">&') == "&lt;a href=&quot;x&quot;&gt;&amp;"


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(2, 15))
def test_leaving_out_weak_parts_keeps_their_sum(contributions, most):
    parts = [Part(f"feature {number}", value) for number, value in enumerate(contributions)]
    shown = strongest(parts, most)
    assert len(shown) == min(most, len(parts))
    assert sum(part.contribution for part in shown) == pytest.approx(sum(contributions), abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "just now"), (60, "1 minute ago"), (7300, "2 hours ago"), (200_000, "2 days ago")],
)
def test_ages_are_said_in_words(seconds, words):
    assert ago(seconds) == words


def test_only_the_first_rows_go_to_the_browser():
    def page():
        import polars as pl

        from apps.dashboard.components.results import MOST_ROWS, download, results_table

        frame = pl.DataFrame({"id": range(MOST_ROWS + 1)})
        results_table(frame, key="rows")
        download(frame, "rows", "Download", key="download")

    shown = AppTest.from_function(page, default_timeout=60).run()
    assert len(shown.dataframe[0].value) == 5000
    assert "5,001" in shown.caption[0].value


def test_lists_are_downloaded_as_parquet():
    from apps.dashboard.components import results

    written = []

    class Spy:
        def download_button(self, label, content, name, mime, **_):
            written.append((name, content()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "st", Spy())
        results.download(pl.DataFrame({"words": [["a", "b"]]}), "posts", "Download", key="x")
        results.download(pl.DataFrame({"words": ["a"]}), "posts", "Download", key="y")
    assert [name for name, _ in written] == ["posts.parquet", "posts.csv"]
    assert written[0][1].startswith(b"PAR1")
    assert written[1][1] == b"words\na\n"


def test_errors_for_users_are_one_plain_message_without_folders():
    def page():
        from apps.dashboard.components.banners import plain_errors
        from apps.dashboard.scoring import session_folder
        from shared.errors import RequestError

        place = session_folder() / "upload-x1" / "rows.csv"
        with plain_errors():
            raise RequestError(f"Expected rows in {place}. Received *none*.")

    shown = AppTest.from_function(page, default_timeout=60).run()
    assert not shown.exception
    assert shown.error[0].value == r"Expected rows in rows.csv. Received \*none\*."


def test_a_what_if_starts_where_the_case_is_and_gives_back_what_is_chosen():
    def page():
        import streamlit as st

        from apps.dashboard.components.form import ChoiceField, NumberField, what_if

        fields = [
            NumberField("months", "Months", 6, 72, "months", whole=True),
            NumberField("since", "Since", 1, 72, states={-9.0: "never", None: "not stated"}),
            ChoiceField("housing", "Housing", {"own": "owner", "rent": "rents", None: "not stated"}),
        ]
        start = {"months": 24.0, "since": -9.0, "housing": "rent"}
        st.session_state["values"] = what_if(fields, start, key="test")

    shown = AppTest.from_function(page, default_timeout=60).run()
    assert shown.session_state["values"] == {"months": 24.0, "since": -9.0, "housing": "rent"}
    shown.slider(key="test/months").set_value(36)
    shown.selectbox(key="test/since/state").set_value("a number")
    shown.selectbox(key="test/housing").set_value("own")
    shown.run()
    assert shown.session_state["values"] == {"months": 36.0, "since": 36.5, "housing": "own"}
