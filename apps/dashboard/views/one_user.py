"""One user of a recommender: what they had, what they get, why, and what they would get without some of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.attribution import Part, attribution_chart
from apps.dashboard.components.banners import banner, plain_errors
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.published import Model

if TYPE_CHECKING:
    import polars as pl

    from pipelines.recommender.score import Scorer


_WHO = ("A user of the training", "A new visitor")
# More are not sent to the browser; any other user can be typed.
_MOST_CHOICES = 3000


def chosen_history(model: Model, recommender: "Scorer", *, key: str) -> "pl.DataFrame":
    """What a user of the training had, or a visitor whose history is made up here; in the form of the contract."""
    from pipelines.recommender.one_user import known_history, new_history

    who = st.segmented_control("Who", _WHO, default=_WHO[0], required=True, key=f"{key}/who")
    if who == _WHO[0]:
        return known_history(recommender, _known_user(model, f"{key}/user/{model.version}"))
    return new_history(recommender, _items_had(recommender, f"{key}/items/{model.version}"))


def _known_user(model: Model, key: str) -> str:
    """The user to look at: at first one whose explanation stands in the report, with a history of middling length."""
    users = model.frame("features/users.parquet")["user_id"]
    examples = model.metrics["explanation"]["examples"]
    first = str(examples[0]["user_id"]) if examples else str(users[0])
    are_more = len(users) > _MOST_CHOICES
    chosen = st.selectbox(
        "User",
        [first, *(user for user in users.head(_MOST_CHOICES) if user != first)],
        key=key,
        help=f"The first of {len(users):,}; type the id of another." if are_more else None,
        accept_new_options=are_more,
    )
    return str(chosen)


def _items_had(recommender: "Scorer", key: str) -> list[str]:
    """Items that a visitor had, to be chosen out of the popular ones."""
    from pipelines.recommender.one_user import described

    items = described(recommender, recommender.catalogue.items).sort("users", descending=True)
    titles = dict(items.head(_MOST_CHOICES).select("item_id", "title").rows())
    return st.multiselect(
        "They had",
        list(titles),
        format_func=lambda item: titles[item],
        key=key,
        placeholder="Choose items of the catalogue",
        select_all=False,
    )


def user_case(model: Model, recommender: "Scorer", interactions: "pl.DataFrame", *, key: str) -> None:
    """Everything about the one user of `interactions`, a table in the form of the contract."""
    from pipelines.recommender.explain import contribution_table
    from pipelines.recommender.one_user import counted_history, recommended

    had, gets = counted_history(recommender, interactions), recommended(recommender, interactions)
    _history(had, key)
    row = _list(gets, key)
    if gets.is_empty():
        return
    if gets["fallback"][0]:
        banner("neutral", "Nothing usable is known of this user: they get what is popular with everybody.")
        return
    if recommender.kind == "popularity":
        banner("neutral", "This model shows everybody the same order, so there is nothing to explain.")
        return
    parts = _parts(contribution_table(recommender, interactions, gets[row : row + 1]), had)
    _why(model, str(gets["title"][row]), parts, key)
    _without(recommender, interactions, [item for item, _ in parts], had, key)


def _history(had: "pl.DataFrame", key: str) -> None:
    st.markdown(f"##### What they had: {had.height:,} {'item' if had.height == 1 else 'items'}")
    results_table(
        had.sort("users", descending=True),
        key=f"{key}/had",
        order=["title", "users"],
        columns={"title": "item", "users": _users_column()},
        height=213,
    )


def _list(gets: "pl.DataFrame", key: str) -> int:
    """The list; returns the place in it that the user looks at, the first one to begin with."""
    st.markdown("##### What they get next")
    row = results_table(
        gets,
        key=f"{key}/gets",
        order=["rank", "title", "users", "reason", "score"],
        columns={
            "rank": st.column_config.NumberColumn("place", width="small"),
            "title": "item",
            "reason": st.column_config.TextColumn("reason", width="large"),
            "users": _users_column(),
            "score": st.column_config.NumberColumn(
                "score",
                format="%.3f",
                help="Orders the items of this user. It compares neither users nor models and is no probability.",
            ),
        },
        choose=True,
        height=388,
    )
    st.caption("Choose a row to see what it rests on; the first one is shown until then.")
    return row or 0


def _users_column() -> object:
    return st.column_config.NumberColumn("had by", format="localized", help="Users who had it in training.")


def _parts(contributions: "pl.DataFrame", had: "pl.DataFrame") -> list[tuple[str, Part]]:
    """Items of the history with what each adds to the score, what speaks most for it first."""
    titles = dict(had.select("item_id", "title").rows())
    rows = (
        contributions.sort("contribution", descending=True).select("history_item_id", "contribution").rows()
    )
    return [(item, Part(titles.get(item) or item, value)) for item, value in rows]


def _why(model: Model, title: str, parts: Sequence[tuple[str, Part]], key: str) -> None:
    if not parts:
        st.caption(f"Nothing in the history speaks for or against {markdown_text(title)}: it is popular.")
        return
    attribution_chart(
        model,
        [part for _, part in parts],
        f"Why {title}",
        unit="what each item of the history adds to the score",
        raises="speaks for it",
        lowers="speaks against it",
        key=f"{key}/why",
        higher_is_good=True,
    )


def _without(
    recommender: "Scorer",
    interactions: "pl.DataFrame",
    strongest: Sequence[str],
    had: "pl.DataFrame",
    key: str,
) -> None:
    """The list as if some items were not in the history."""
    from pipelines.recommender.one_user import without

    titles = {item: title or item for item, title in had.select("item_id", "title").rows()}
    st.markdown("##### And without some of it?")
    left_out = st.multiselect(
        "Leave out of the history",
        [*strongest, *(item for item in titles if item not in strongest)],
        format_func=lambda item: titles[item],
        key=f"{key}/without/{interactions['user_id'][0]}",
        placeholder="Choose items; those that speak most for the chosen recommendation come first",
        select_all=False,
    )
    if not left_out:
        return
    with plain_errors():
        moved = without(recommender, interactions, left_out)
        _moves(moved, recommender.config.serving.top_n, key)


def _moves(moved: "pl.DataFrame", top_n: int, key: str) -> None:
    import polars as pl

    before, after = pl.col("place_before"), pl.col("place_after")
    said = (
        pl.when(after > top_n).then(pl.lit("leaves the list"))
        .when(before > top_n).then(pl.lit("new in the list"))
        .when(before > after).then(pl.format("up {}", before - after))
        .when(before < after).then(pl.format("down {}", after - before))
        .otherwise(pl.lit("stays"))
    )  # fmt: skip
    results_table(
        moved.with_columns(change=said),
        key=f"{key}/moved",
        order=["title", "place_before", "place_after", "change"],
        columns={
            "title": "item",
            "place_before": "place with all items",
            "place_after": "place without these",
        },
        height=420,
    )
    st.caption(
        "Places among all unseen items. Both are of the user as if new, made from the history alone, so that nothing "
        "differs but the items left out; the list above may differ a little from the first of them."
    )
