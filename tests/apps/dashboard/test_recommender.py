"""The page of the recommender as a merchandiser uses it."""

import polars as pl
import pytest

USER, FILE, SHOWN, MODELS = "recommender/one", "A file of histories", "What is shown", "All models"


@pytest.fixture
def served(home_of, monkeypatch):
    """The scorer of the model on the page."""
    from pipelines.recommender.score import Scorer
    from shared.publishing.registry import Registry

    monkeypatch.setenv("FIELDWORK_HOME", str(home_of("recommender")))
    return Scorer.from_bundle(Registry().bundle("recommender", 1), "1")


@pytest.fixture
def chooses_first_rows(monkeypatch):
    """A user who has chosen the first row of every table that lets them choose."""
    monkeypatch.setattr(
        "apps.dashboard.components.results.results_table",
        lambda _, **options: 0 if options.get("choose") else None,
    )


def upload(page, content: bytes, name: str = "histories.csv"):
    page.file_uploader(key="recommender/upload").set_value((name, content, "text/csv")).run()
    return page.button(key="recommender/score").click().run()


def numbers(page) -> str:
    return " ".join(each.proto.body for each in page.get("html"))


def table_with(page, column: str) -> pl.DataFrame:
    return next(pl.DataFrame(table.value) for table in page.dataframe if column in table.value.columns)


def user_of(page) -> str:
    return str(page.selectbox(key=f"{USER}/user/1").value)


def test_a_user_is_open_at_first_with_what_they_had_and_get(open_page, served):
    from pipelines.recommender.one_user import known_history, recommended

    page = open_page("recommender")
    assert not page.exception
    assert "is a neural model worth it here?" in page.markdown[0].value
    history = known_history(served, user_of(page))
    assert set(table_with(page, "title")["item_id"]) == set(history["item_id"])
    expected = recommended(served, history)
    assert table_with(page, "reason")["item_id"].to_list() == expected["item_id"].to_list()


def test_another_user_has_another_list(open_page):
    page = open_page("recommender")
    before = table_with(page, "reason")["item_id"].to_list()
    choice = page.selectbox(key=f"{USER}/user/1")
    choice.set_value(next(user for user in choice.options if user != user_of(page))).run()
    assert not page.exception
    assert table_with(page, "reason")["item_id"].to_list() != before


def test_leaving_items_out_shows_how_the_list_changes(open_page, served):
    from pipelines.recommender.one_user import known_history, without

    page = open_page("recommender")
    history = known_history(served, user_of(page))
    left_out = history["item_id"].to_list()[:2]
    page.multiselect(key=f"{USER}/without/{user_of(page)}").set_value(left_out).run()
    assert not page.exception
    moved, expected = table_with(page, "place_after"), without(served, history, left_out)
    assert moved["item_id"].to_list() == expected["item_id"].to_list()
    assert moved["place_after"].to_list() == expected["place_after"].to_list()
    said = moved.filter(pl.col("place_before") == pl.col("place_after"))["change"].unique().to_list()
    assert said in ([], ["stays"])
    gone = moved.filter(pl.col("place_after") > served.config.serving.top_n)
    assert gone["change"].unique().to_list() in ([], ["leaves the list"])


def test_a_history_of_nothing_is_answered_in_one_sentence(open_page, served):
    from pipelines.recommender.one_user import known_history

    page = open_page("recommender")
    everything = known_history(served, user_of(page))["item_id"].to_list()
    page.multiselect(key=f"{USER}/without/{user_of(page)}").set_value(everything).run()
    assert not page.exception
    assert "Leave at least one item" in page.error[-1].value


def test_a_visitor_gets_what_is_popular_until_something_is_known_of_them(open_page):
    page = open_page("recommender")
    page.button_group(key=f"{USER}/who").set_value("A new visitor").run()
    assert not page.exception
    assert any("popular with everybody" in info.value for info in page.info)
    popular = table_with(page, "reason")["item_id"].to_list()
    page.multiselect(key=f"{USER}/items/1").set_value(popular[:3]).run()
    assert not page.exception
    assert not any("popular with everybody" in info.value for info in page.info)
    assert not set(table_with(page, "reason")["item_id"]) & set(popular[:3])


def test_a_failed_explanation_is_warned_of_beside_the_reasons(open_page, failed_explanation):
    page = open_page("recommender")
    assert any("no better than a random order" in error.value for error in page.error)


def test_what_is_shown_is_counted_over_the_lists_that_are_served(open_page, served):
    page = open_page("recommender", view=SHOWN)
    assert not page.exception
    assert "in at least one list" in numbers(page)
    items = table_with(page, "lists")
    assert set(items["item_id"]) == set(served.catalogue.items)
    page.button_group(key="recommender/shown").set_value("Never shown").run()
    assert set(table_with(page, "lists")["lists"]) <= {0}
    assert list(table_with(page, "items before")["test users"])


def test_all_models_stand_side_by_side_with_intervals(open_page):
    page = open_page("recommender", view=MODELS)
    assert not page.exception
    table = table_with(page, "NDCG@20")
    assert table["model"].str.contains("this model").sum() == 1
    assert "popularity" in table["model"]
    assert table["NDCG@20"].str.contains(r"\d \(\d.* to \d").all()


def test_a_file_is_scored_and_a_user_of_it_is_shown_in_full(open_page, served, chooses_first_rows):
    from pipelines.recommender.example import example_histories

    page = open_page("recommender", view=FILE)
    histories = example_histories(served, 3).filter(pl.col("user_id").str.starts_with("visitor"))
    upload(page, histories.write_csv().encode())
    assert not page.exception
    assert page.subheader[0].value == "visitor 1"
    assert page.multiselect(key="recommender/of-file/without/visitor 1").options


def test_the_example_is_scored_with_known_users_visitors_and_a_stranger(open_page):
    page = open_page("recommender", view=FILE)
    page.button(key="recommender/example").click().run()
    assert not page.exception
    lists = table_with(page, "fallback")
    assert lists.filter("fallback")["user_id"].unique().to_list() == ["stranger"]
    assert lists["user_id"].n_unique() > 20


def test_rows_that_break_the_contract_are_listed_and_the_others_served(open_page, served):
    from pipelines.recommender.example import example_histories

    histories = example_histories(served, 8)
    broken = pl.concat([histories, pl.DataFrame({"user_id": [" "], "item_id": ["i0001"]})])
    page = upload(open_page("recommender", view=FILE), broken.write_csv().encode())
    assert table_with(page, "broken_rules").height == 1
    assert table_with(page, "fallback")["user_id"].n_unique() == histories["user_id"].n_unique()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"customer,sku\n1,2\n", "column user"), (b"", "Expected"), (b"\x89PNG\r\n" + bytes(99), "Expected")],
    ids=["other columns", "empty", "picture"],
)
def test_a_file_of_something_else_gives_one_message(open_page, content, expected):
    page = upload(open_page("recommender", view=FILE), content)
    assert not page.exception
    assert len(page.error) == 1
    assert expected in page.error[0].value.replace("\\", "")
