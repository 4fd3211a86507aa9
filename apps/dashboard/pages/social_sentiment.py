"""Social-media sentiment: what posts say and how it changes, which posts decide it, one post, how far to trust it."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import banner, part
from apps.dashboard.components.kept import kept
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.sentiment import choose_post, reading_card, shares_overview
from apps.dashboard.views.sentiment_trust import gallery, trust

if TYPE_CHECKING:
    import polars as pl

    from pipelines.social_sentiment.score import Scorer
    from shared.contracts.contract import Contract

_EXAMPLE_POSTS, _EXAMPLE_DAYS, _EXAMPLE_SEED = 600, 35, 20_260


def _contract(model: Model) -> "Contract":
    from pipelines.social_sentiment.schema import input_contract

    return input_contract(model.metrics["labels"])


def _example(model: Model, folder: Path) -> Path:
    """Five weeks of made-up posts about a brand."""
    from pipelines.social_sentiment.generator import generate

    path = folder / "example_posts.csv"
    generate(_EXAMPLE_POSTS, _EXAMPLE_DAYS, _EXAMPLE_SEED)[0].drop("label").write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="social_sentiment",
    titles={
        "test/macro_recall": "Macro-recall",
        "test/accuracy": "Accuracy",
        "test/macro_f1": "Macro-F1",
        "test/ece": "Calibration error",
    },
    baselines={
        "tfidf_logistic_regression": "TF-IDF + logistic regression",
        "lexicon": "lexicon (VADER)",
        "majority": "majority label",
    },
    example=_example,
    contract=_contract,
)


def main() -> None:
    model = open_page(DOMAIN)
    show_views(
        {
            "What is said": lambda: _said(model),
            "Which posts": lambda: _posts(model),
            "One post": lambda: _one(model),
            "Your posts": lambda: _file(model),
            "How far to trust it": lambda: trust(model, key=DOMAIN.key("trust")),
        }
    )


@part
def _said(model: Model) -> None:
    """Shares of the labels and how they change: of the session's own posts, else of the test posts."""
    kept = _kept(model)
    shares = _published_shares(model) if kept is None else _own_shares(model, kept)
    if shares is None:
        banner(
            "neutral",
            "This model was published without the shares of its test posts. Score posts of your own.",
        )
        return
    whose = "the posts that the model was tested on; score your own under Your posts"
    st.caption(f"Of {'your posts' if kept else whose}. Shares are corrected for what the model confuses.")
    shares_overview(shares, model.metrics["labels"], key=DOMAIN.key("shares"))


@part
def _posts(model: Model) -> None:
    """The session's own posts, or examples of the test; with the words that decide."""
    kept = _kept(model)
    if kept is None:
        st.caption("Examples of the test posts; score your own under Your posts.")
        gallery(model, key=DOMAIN.key("gallery"))
        return
    text = choose_post(_own_posts(model, kept), model.metrics["labels"], key=DOMAIN.key("posts"))
    if text is not None:
        _read(model, text, key="chosen")


@part
def _one(model: Model) -> None:
    """A post that somebody pastes."""
    with st.form(DOMAIN.key("paste"), border=False):
        text = st.text_area(
            "A post, as it was written", key=DOMAIN.key("text"), height=110, max_chars=10_000,
            placeholder="Third update this week and the app still crashes. Great job, really.",
        )  # fmt: skip
        asked = st.form_submit_button("Read it", type="primary")
    if asked:
        st.session_state[DOMAIN.key("read")] = text
    known = st.session_state.get(DOMAIN.key("read"))
    if known is not None:
        _read(model, known, key="pasted")


def _read(model: Model, text: str, *, key: str) -> None:
    from pipelines.social_sentiment.reading import read_post

    with st.spinner("Reading ..."):
        reading = read_post(scorer(DOMAIN, model), text)
    reading_card(model, reading, key=DOMAIN.key(key))


def _file(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is None:
        return
    banner("neutral", "What is said and Which posts now show these posts.")
    shares = _own_shares(model, scored)
    shares_overview(shares, model.metrics["labels"], key=DOMAIN.key("own-shares"))


def _kept(model: Model) -> Scored | None:
    """What this session scored with this version."""
    found: tuple[int, Scored] | None = st.session_state.get(DOMAIN.key("scored"))
    return found[1] if found is not None and found[0] == model.version else None


def _published_shares(model: Model) -> "pl.DataFrame | None":
    """Those of the test posts; models of earlier releases were published without."""
    name = "test_shares.parquet"
    return model.frame(name) if model.has(name) else None


def _own_posts(model: Model, scored: Scored) -> "pl.DataFrame":
    from pipelines.social_sentiment.reading import posts_beside
    from pipelines.social_sentiment.score_table import posts_to_score

    def read() -> "pl.DataFrame":
        _, posts = posts_to_score(scored.source, scorer(DOMAIN, model))
        return posts_beside(posts, scored.frame(), model.metrics["labels"])

    return kept(DOMAIN.key("own-posts"), scored.output, read)


def _own_shares(model: Model, scored: Scored) -> "pl.DataFrame":
    from pipelines.social_sentiment.periods import shares_of_scored
    from shared.data.tables import read_table
    from shared.orchestration.scoring import beside

    def counted() -> "pl.DataFrame":
        trend = beside(scored.output, "trend")
        by_day = read_table(trend) if trend.is_file() else None
        posts = _own_posts(model, scored)
        return shares_of_scored(scorer(DOMAIN, model), posts, scored.frame(), by_day)

    with st.spinner("Counting ..."):
        return kept(DOMAIN.key("own-shares-of"), scored.output, counted)


if __name__ == "__main__":
    main()
