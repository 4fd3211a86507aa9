"""A real browser walks every page as its user would: nothing breaks, nothing is fetched from elsewhere."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.catalogue import PIPELINES
from tests.apps.dashboard.served import FLAGS, browser_path, served

BROWSER = browser_path()
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine: infra/browser installs one"
)
expect.set_options(timeout=60_000)
_AT_REST = """() => document.querySelector(".stApp[data-test-script-state=notRunning]")
    && !document.querySelector("[data-stale=true]")"""


@pytest.fixture(scope="module")
def whole_home(publish_shared, tmp_path_factory) -> Path:
    """A home with a model of every pipeline, from those that the tests of the pages share."""
    root: Path = tmp_path_factory.mktemp("whole") / "home"
    for pipeline in PIPELINES:
        publish_shared(pipeline.name, root)
    return root


@pytest.fixture(scope="module")
def address(whole_home: Path) -> Iterator[str]:
    with served(whole_home) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield found
        found.close()


@dataclass
class Seen:
    """What went wrong in a browser, and who was asked for anything."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def require_nothing_wrong(self) -> None:
        """Nothing was in the console and only the dashboard was asked for anything."""
        assert not self.errors
        assert self.hosts <= {"127.0.0.1", ""}


@contextmanager
def session(
    browser: Browser, url: str, *, width: int = 1280, scheme: str = "light"
) -> Iterator[tuple[Page, Seen]]:
    """A new session, and what is seen in it."""
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(60_000)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).hostname or ""))
    page.goto(url)
    yield page, seen
    context.close()


@contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A new session in which nothing goes wrong up to its end."""
    with session(browser, url, **options) as (page, seen):
        yield page
    seen.require_nothing_wrong()


@pytest.fixture(scope="module")
def one_session(browser: Browser, address: str) -> Iterator[tuple[Page, Seen]]:
    """The session of somebody who goes from page to page: loading the application anew takes seconds."""
    with session(browser, address) as opened:
        yield opened


def settled(page: Page) -> None:
    """Wait for the end of the run, which must not have failed."""
    page.wait_for_timeout(150)
    page.wait_for_function(_AT_REST, polling=50)  # `expect` would look once a second after a while
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id(
        "stException"
    ).first.inner_text()


def go_to(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    settled(page)


def walk_views(page: Page, *, score: bool) -> None:
    """Open every part of the page; where example data are offered, score them and look at the results."""
    for tab in page.get_by_role("tab").all():
        tab.click()
        settled(page)
        example = page.get_by_role("button", name=re.compile("^Score (?!runs).+"))
        if score and example.count() and example.first.is_visible():
            example.first.click()
            expect(page.get_by_text(re.compile("scored with version"))).to_be_visible()
            settled(page)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_every_page_is_walked_from_top_to_bottom(one_session, pipeline):
    page, seen = one_session
    go_to(page, pipeline.title)
    expect(page.get_by_text(pipeline.question)).to_be_visible()
    walk_views(page, score=True)
    seen.require_nothing_wrong()


def test_operations_is_walked_in_the_dark_on_a_tablet(browser, address):
    with visit(browser, address, width=820, scheme="dark") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
        settled(page)
        walk_views(page, score=False)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 820, "nothing is wider than the screen"


def test_a_slider_moves_the_points_of_an_applicant(browser, address):
    with visit(browser, address) as page:
        go_to(page, "Credit scoring")
        expect(page.get_by_text("as at the start")).to_be_visible()
        settled(page)  # a control that is drawn anew loses what is pressed
        slider = page.get_by_role("slider").nth(1)
        slider.focus()
        for _ in range(12):
            slider.press("PageUp")
        expect(page.get_by_text("points against the start")).to_be_visible()


@pytest.mark.parametrize(
    ("title", "view", "reason"),
    [
        ("Credit scoring", "A file of applicants", "From a usual applicant to this one"),
        ("Fraud detection", "Today's queue", "What makes this transaction suspicious"),
    ],
)
def test_choosing_a_row_says_why(browser, address, title, view, reason):
    with visit(browser, address) as page:
        go_to(page, title)
        page.get_by_role("tab", name=view).click()
        settled(page)
        page.get_by_role("button", name=re.compile("^Score (?!runs).+")).first.click()
        expect(page.get_by_text("scored with version")).to_be_visible()
        settled(page)
        # the table is a picture: its first row lies below the header, the box to tick at its left edge
        table = page.get_by_test_id("stDataFrame").last
        table.scroll_into_view_if_needed()
        table.click(position={"x": 16, "y": 52})
        expect(page.get_by_text(reason)).to_be_visible()
        settled(page)


def test_what_one_session_scored_no_other_sees(browser, address):
    with visit(browser, address) as first, visit(browser, address) as second:
        for page in (first, second):
            go_to(page, "Credit scoring")
            page.get_by_role("tab", name="A file of applicants").click()
            settled(page)
        first.get_by_role("button", name="Score generated example data").click()
        expect(first.get_by_text("scored with version")).to_be_visible()
        second.get_by_role("tab", name="Fairness").click()
        second.get_by_role("tab", name="A file of applicants").click()
        settled(second)
        expect(second.get_by_text("scored with version")).to_have_count(0)


def test_files_of_a_session_go_when_it_ends(browser, publish_shared, tmp_path):
    home = tmp_path / "home"
    publish_shared("credit_scoring", home)
    with served(home) as url, visit(browser, url) as page:
        go_to(page, "Credit scoring")
        page.get_by_role("tab", name="A file of applicants").click()
        settled(page)
        page.get_by_role("button", name="Score generated example data").click()
        expect(page.get_by_text("scored with version")).to_be_visible()
        assert [*home.glob("cache/dashboard/*/session-*/scored-*/*.parquet")]
    assert not [*home.glob("cache/dashboard/*/session-*/scored-*")]


def test_nothing_is_seen_without_the_token(browser, whole_home):
    with served(whole_home, "--token", "a-token-of-the-test") as url, visit(browser, url) as page:
        expect(page.get_by_role("textbox")).to_be_visible()
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
        page.get_by_role("textbox").fill("a-token-of-the-test")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
