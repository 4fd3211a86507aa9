"""The page of sentiment as a brand manager uses it."""

import polars as pl
import pytest

from pipelines.social_sentiment.schema import LABELS

SAID, WHICH, ONE, OWN, TRUST = (
    "What is said",
    "Which posts",
    "One post",
    "Your posts",
    "How far to trust it",
)
HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) :red[x] $x^2$"


@pytest.fixture
def posts():
    from pipelines.social_sentiment.generator import generate

    return generate(60, 20, 5)[0].drop("label")


def frames(page):
    """The texts of the frames with numbers and of those with marked words."""
    return " ".join(each.proto.body for each in page.get("html"))


def captions(page):
    return " ".join(each.value for each in page.caption)


def figures(page):
    return [each.proto.spec for each in page.get("plotly_chart")]


def scored(open_page, table, name="new.csv"):
    page = open_page("social_sentiment", view=OWN)
    page.file_uploader(key="social_sentiment/upload").set_value((name, table, "text/csv")).run()
    return page.button(key="social_sentiment/score").click().run()


def view(page, name):
    page.query_params["view"] = page.session_state["view"] = name
    return page.run()


def read(page, text):
    page.text_area(key="social_sentiment/text").set_value(text)
    [button] = [button for button in page.button if button.label == "Read it"]
    return button.click().run()


def test_shares_with_their_intervals_and_their_change_stand_first(open_page):
    page = open_page("social_sentiment")
    assert not page.exception
    assert "What do people say about us" in page.markdown[0].value
    assert "the posts that the model was tested on" in captions(page)
    for label in LABELS:
        assert label in frames(page)
    assert "95 % interval" in frames(page)
    in_all, over_time = figures(page)
    assert "by topic, in all" in in_all
    assert "95 % interval" in over_time
    assert "moved outside noise" in " ".join(each.value for each in (*page.info, *page.warning)).lower()


def test_another_label_and_period_are_drawn(open_page):
    page = open_page("social_sentiment")
    key = "social_sentiment/shares"
    page.button_group(key=f"{key}/label").set_value("positive")
    page.button_group(key=f"{key}/period").set_value("day").run()
    assert not page.exception
    assert all("positive posts" in figure for figure in figures(page))
    assert "by day" in figures(page)[1]


def test_a_model_without_published_shares_says_so(open_page, monkeypatch):
    from apps.dashboard.published import Model

    has = Model.has
    monkeypatch.setattr(Model, "has", lambda model, name: name != "test_shares.parquet" and has(model, name))
    page = open_page("social_sentiment")
    assert not page.exception
    assert any("Score posts of your own" in info.value for info in page.info)


def test_examples_of_the_test_have_their_words_marked(open_page):
    page = open_page("social_sentiment", view=WHICH)
    assert not page.exception
    assert "<mark" in frames(page)
    assert "Deciding words" in captions(page)


def test_own_posts_are_counted_listed_and_read(open_page, posts):
    page = scored(open_page, posts.write_csv().encode())
    assert not page.exception
    assert not page.error
    page = view(page, SAID)
    assert "Of your posts" in captions(page)
    assert f"All posts ({posts.height})" in figures(page)[0]
    page = view(page, WHICH)
    assert not page.exception
    listed = page.dataframe[-1].value
    assert sorted(listed["text"]) == sorted(posts["text"])
    assert list(listed["probability"]) == sorted(listed["probability"], reverse=True)
    page.button_group(key="social_sentiment/posts/label").set_value("neutral").run()
    assert set(page.dataframe[-1].value["label"]) <= {"neutral"}


def test_posts_without_time_and_topic_are_counted_without_a_trend(open_page, posts):
    page = scored(open_page, posts.select("text").write_csv().encode())
    assert not page.exception
    assert not page.error
    page = view(page, SAID)
    assert not page.exception
    assert any("No trend" in text.value for text in page.text)


def test_a_pasted_post_gets_a_label_and_its_words(open_page):
    page = read(open_page("social_sentiment", view=ONE), "the app is great, love it")
    assert not page.exception
    assert any(info.value.startswith("Read as") for info in (*page.info, *page.warning))
    assert "<mark" in frames(page)
    assert any("How sure it is" in figure for figure in figures(page))


def test_hostile_text_stays_text(open_page, posts):
    page = read(open_page("social_sentiment", view=ONE), HOSTILE)
    assert not page.exception
    assert "<img" not in frames(page)
    assert "&lt;" in frames(page)
    hostile = posts.with_columns(text=pl.lit(f"{HOSTILE} ") + pl.col("text"), topic=pl.lit(HOSTILE))
    page = view(scored(open_page, hostile.write_csv().encode()), SAID)
    assert not page.exception
    assert "<img" not in frames(page)
    assert all("<img" not in figure for figure in figures(page))
    said = [*page.markdown, *page.caption, *page.info, *page.warning]
    assert all("<img" not in each.value and ":red[" not in each.value for each in said)


@pytest.mark.parametrize("text", ["", "  \n "], ids=["nothing", "blanks"])
def test_nothing_to_read_is_said_in_one_line(open_page, text):
    page = read(open_page("social_sentiment", view=ONE), text)
    assert not page.exception
    [error] = page.error
    assert "Expected a post with something to read" in error.value


def test_a_table_without_text_is_refused_with_the_way_out(open_page, posts):
    page = scored(open_page, posts.drop("text").write_csv().encode())
    assert not page.exception
    assert "text" in page.error[0].value


def test_a_failed_explanation_carries_its_warning_wherever_words_are_marked(open_page, failed_explanation):
    page = open_page("social_sentiment", view=WHICH)
    assert any("Not faithful" in error.value for error in page.error)
    page = read(view(page, ONE), "the app is great")
    assert any("Not faithful" in error.value for error in page.error)


def test_how_far_shares_are_off_is_that_of_the_bundle(open_page):
    page = open_page("social_sentiment", view=TRUST)
    assert not page.exception
    shares = page.dataframe[0].value
    assert list(shares["label"]) == list(LABELS)
    assert set(shares["interval holds it"]) <= {"yes", "no"}
    assert "Left to a human" in frames(page)
