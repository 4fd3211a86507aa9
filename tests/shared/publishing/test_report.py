import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from shared.errors import FieldworkError
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    KeyValues,
    MarkedText,
    MetricCard,
    MetricCards,
    Paragraph,
    Report,
    Section,
    Table,
    interval,
    show,
)
from shared.publishing.explanation_figures import importance_bars
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.report import render
from shared.publishing.standard import (
    data_section,
    limits_section,
    results_section,
    run_section,
    training_section,
)
from shared.publishing.summary import RunSummary
from shared.publishing.svg import inline_svg

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
METRIC = {"value": 0.8125, "low": 0.7, "high": 0.9, "unit": "", "higher_is_better": True, "n": 2000}


def page(*blocks: Block, title: str = "Widgets") -> str:
    return render(Report(title, "Which fail?", [Section("One", blocks), Section("One", [])], {"Seed": 7}))


class Reader(HTMLParser):
    """Collects tags, ids and attributes, and fails on tags that are not closed."""

    VOID = frozenset({"meta", "br", "img", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def every_block(text: str) -> list[Block]:
    columns = [text, Column(text, number=True, unit=text)]
    table = Table(columns, [[text, 1.5], [None, None]], text, [text], links={0: f"#{text}"})
    drawing = Figure(importance_bars([text, "b"], [[1, 2]], unit=text), text, text)
    inner = Details(text, [table, KeyValues({text: text})])
    blocks: list[Block] = [
        Paragraph(text),
        Bullets([text]),
        Callout("bad", text, text),
        table,
        drawing,
        MarkedText([(text, 1.0), (text, 0.0)], text, text),
        inner,
    ]
    return [*blocks, KeyValues({text: text}), MetricCards([MetricCard(text, {**METRIC, "unit": text}, text)])]


def test_hostile_text_stays_text_in_every_block() -> None:
    found = Reader(page(*every_block(EVIL), title=EVIL))
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_marks_say_direction_and_strength_of_each_piece() -> None:
    weights = {"none": 0.0, "faint": 0.05, "weak": 0.2, "middle": -0.5, "strong": 1.0, "beyond": -3.0}
    marks = dict(MarkedText(list(weights.items())).marks())
    assert marks == {
        "none": "",
        "faint": "",
        "weak": "for-1",
        "middle": "against-2",
        "strong": "for-4",
        "beyond": "against-4",
    }
    html = page(MarkedText([("so ", 0.0), ("good", 1.0)]))
    assert '<p>so <mark class="for-4">good</mark></p>' in html


def test_page_fetches_nothing_and_forbids_it() -> None:
    html = page(*every_block("plain"))
    without_names = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\((?!#)|\ssrc=", without_names)
    assert "default-src 'none'" in html


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    drawing = importance_bars(["a", "b"], [[1, 2]])
    found = Reader(page(Figure(drawing, "one", "one"), Figure(drawing, "two", "two")))
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    references = [value[1:] for name, value in found.attributes if name == "href"]
    references += re.findall(r"url\(#([^)]+)\)", " ".join(value for _, value in found.attributes))
    assert set(references) <= set(ids)


def test_page_is_navigable_without_sight() -> None:
    html = page(*every_block("plain"))
    found = Reader(html)
    assert {"header", "nav", "main", "h1", "h2", "th"} <= set(found.tags)
    assert ("role", "img") in found.attributes
    assert ("aria-label", "plain") in found.attributes
    assert ("lang", "en") in found.attributes


def test_same_report_gives_the_same_page() -> None:
    assert page(*every_block("plain")) == page(*every_block("plain"))


def test_empty_report_and_empty_table_are_pages() -> None:
    Reader(render(Report("Empty", "", [])))
    assert "No rows" in page(Table(["a", "b"], []))


def test_first_cell_of_a_row_leads_to_its_address_and_no_other_does() -> None:
    html = page(Table(["a", "b"], [["one\nsmall", "x"], ["two", "y"]], links={0: "a/report.html"}))
    assert '<a href="a/report.html">one</a><span class="minor">small</span>' in html
    assert html.count("a/report.html") == 1


def test_row_of_wrong_length_is_an_error_not_a_shifted_table() -> None:
    with pytest.raises(ValueError, match="Expected 2 values"):
        page(Table(["a", "b"], [["only one"]]))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, None, "–"),
        (float("nan"), 3, "–"),
        (float("-inf"), 3, "−∞"),
        (-0.5, 3, "−0.500"),
        (1234567, None, "1,234,567"),
        (1234.5678, None, "1,235"),
        (0.00004, 3, "4.0e-05"),
        (0.0, 3, "0.000"),
        (6.41, None, "6.41"),
        (10.0, None, "10"),
        (100.0, None, "100"),
        (True, None, "yes"),
        ("text", None, "text"),
    ],
)
def test_numbers_are_written_for_readers(value: float, digits: int | None, text: str) -> None:
    assert show(value, digits) == text


def test_interval_that_is_half_missing_is_not_shown() -> None:
    assert interval({"low": 0.1, "high": None}) == ""
    assert interval(METRIC) == "0.700 to 0.900"


@pytest.mark.parametrize(
    "svg",
    [
        '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><g onload="alert(1)"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://evil/x.png"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="http://evil/x.svg#a"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><style>@import url(http://evil)</style></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><p>x</p></foreignObject></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><rect style="fill: url(http://evil)"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><a href="javascript:alert(1)"><text>x</text></a></svg>',
    ],
)
def test_drawings_are_reduced_to_drawing(svg: str) -> None:
    text = inline_svg(svg, "d1-", "alt")
    assert not re.search(r"script|evil|onload|foreignObject|@import", text)


def test_pixels_stay_when_they_are_in_the_drawing_itself() -> None:
    pixels = "data:image/jpeg;base64,/9j/4AAQ\nSkZJRg=="
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{pixels}" width="4" height="3"/></svg>'
    text = inline_svg(svg, "d1-", "alt")
    assert "/9j/4AAQ" in text
    assert 'width="4"' in text


@pytest.mark.parametrize(
    "address",
    [
        "http://evil/x.png",
        "//evil/x.png",
        "file:///evil.png",
        "data:image/svg+xml;base64,ZXZpbA==",
        "data:text/html;base64,ZXZpbA==",
        "data:image/png;base64,AAAA,evil",
        " data:image/png;base64,ZXZpbA==",
    ],
)
def test_pixels_from_elsewhere_or_of_another_kind_are_dropped(address: str) -> None:
    xlink = f'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{address}"'
    for attribute in (f'href="{address}"', xlink):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image {attribute}/></svg>'
        assert not re.search("evil|href|ZXZpbA", inline_svg(svg, "d1-", "alt"))


def test_only_pictures_may_hold_pixels() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><use href="data:image/png;base64,ZXZpbA=="/></svg>'
    assert "ZXZpbA" not in inline_svg(svg, "d1-", "alt")


@pytest.mark.parametrize("svg", ["", "<p>", "<svg", '<!DOCTYPE x [<!ENTITY a "b">]><svg>&a;</svg>'])
def test_what_is_no_drawing_is_refused(svg: str) -> None:
    with pytest.raises(FieldworkError, match="Expected an SVG"):
        inline_svg(svg, "d1-", "alt")


def test_alternative_text_cannot_leave_its_attribute() -> None:
    found = Reader(page(Figure(importance_bars(["a"], [[1]]), "caption", EVIL)))
    assert ("aria-label", EVIL) in found.attributes


def summary() -> RunSummary:
    nothing = {"value": None, "higher_is_better": True, "n": 0}
    known = {"pipeline": "widgets", "preset": "tiny", "source": "my|table", "contract": "widgets@1.0.0"}
    known |= {"rows": {"in": 30, "test": 10}, "verdict": f"It wins {EVIL}", "seconds": {"train": 1.5}}
    known |= {
        "metrics": {"test/roc_auc": METRIC, "test/brier": {**METRIC, "value": 0.2, "higher_is_better": False}}
    }
    known |= {"baselines": {"base_rate": {"test/roc_auc": nothing}, "linear": {"test/brier": METRIC}}}
    known |= {"training": {"device": "cpu", "epochs": 2, "seconds": 1.5, "samples_per_second": None}}
    known |= {"explanation": {"method": "gradients", "faithful": False, "completeness_error": None}}
    return RunSummary.model_validate(known)


TITLES = {"test/roc_auc": "ROC AUC", "test/brier": "Brier", "test/unknown": "Unknown"}


def test_standard_sections_cope_with_missing_baselines_and_values() -> None:
    sections = [results_section(summary(), TITLES), run_section(summary())]
    html = render(Report("Widgets", "Which fail?", sections))
    Reader(html)
    assert "Best baseline: Linear, 0.812" in html
    assert "Unknown" not in html


def models_of(section: Section) -> list[Any]:
    [table] = [block for block in section.blocks if isinstance(block, Table)]
    return [row[0] for row in table.rows]


def test_baselines_have_the_titles_and_the_order_that_the_domain_gives() -> None:
    titles = {"linear": "Straight line", "base_rate": "Always the same", "unused": "Not there"}
    section = results_section(summary(), TITLES, others="rival", other_titles=titles)
    assert models_of(section) == ["This model", "Straight line", "Always the same"]
    assert "Best rival: Straight line, 0.812" in render(Report("Widgets", "Which fail?", [section]))


def test_baseline_without_a_title_stays_in_the_table_under_its_own_name() -> None:
    section = results_section(summary(), TITLES, other_titles={"linear": "Line"})
    assert models_of(section) == ["This model", "Line", "Base rate"]


def test_forest_plot_is_limited_to_the_first_metrics_and_the_table_is_not() -> None:
    section = results_section(summary(), TITLES, num_drawn=1)
    [forest] = [block for block in section.blocks if isinstance(block, Figure)]
    [table] = [block for block in section.blocks if isinstance(block, Table)]
    assert "ROC AUC" in forest.alt
    assert "Brier" not in forest.alt
    assert len(table.columns) == 3


def test_run_without_metrics_still_has_a_verdict() -> None:
    bare = summary().model_copy(update={"metrics": {}, "baselines": {}})
    assert "Verdict" in render(Report("Widgets", "", [results_section(bare, TITLES)]))


def test_data_section_says_what_the_audit_found_and_shows_the_first_rows_in_quarantine() -> None:
    quarantine = pl.DataFrame({"row_number": range(100, 130), "broken_rules": ["width: too small"] * 30})
    section = data_section(
        split="by date",
        audit={"checks": ["duplicate_rows", "group_overlap"], "findings": [{"message": "3 rows twice."}]},
        notes=[EVIL],
        quarantine=quarantine,
    )
    html = render(Report("Widgets", "", [section]))
    Reader(html)
    assert "3 rows twice. (looked for: duplicate rows, group overlap)" in html
    assert html.count("width: too small") == 10
    assert "109" in html
    assert "110" not in html


def test_data_section_without_findings_notes_or_quarantine_says_that_nothing_was_found() -> None:
    section = data_section(split="by hash", audit={"checks": ["duplicate_rows"], "findings": []})
    [facts] = section.blocks
    assert isinstance(facts, KeyValues)
    assert facts.values == {"Split": "by hash", "Leak audit": "no leak found (looked for: duplicate rows)"}


@pytest.fixture
def training() -> dict[str, Any]:
    history = [{"epoch": n, "train_loss": 1.0 / (n + 1), "loss": None, "recall": 0.1 * n} for n in range(3)]
    how = {"device": "cpu", "precision": "float32", "tier": "eager", "tier_reason": "small network"}
    return {"epochs": 3, "best_epoch": 2, "history": history, **how}


def test_training_section_says_how_it_ran_and_what_was_kept(training: dict[str, Any]) -> None:
    section = training_section(training, kept="The last one was kept.", caption="Log loss, nats.")
    text, figure = section.blocks
    expected = "3 epochs on cpu, float32, eager (small network). The last one was kept."
    assert text == Paragraph(expected)
    assert isinstance(figure, Figure)
    assert figure.caption == "Log loss, nats."


def test_training_section_counts_epochs_from_one_in_text_and_curves(training: dict[str, Any]) -> None:
    figure = training_section(training, kept="", caption="").blocks[1]
    assert isinstance(figure, Figure)
    assert "kept: epoch 3" in figure.svg


def test_training_section_draws_the_metrics_that_it_is_asked_for(training: dict[str, Any]) -> None:
    def drawing(*names: str) -> str:
        block = training_section(training, kept="", caption="", validation=names).blocks[1]
        assert isinstance(block, Figure)
        return block.svg

    assert drawing("recall") != drawing("loss") == drawing()
    with pytest.raises(KeyError, match="recal"):
        drawing("recal")


def test_card_has_no_empty_section_and_says_when_an_explanation_failed() -> None:
    card = model_card(CardFacts("Widgets", "Which fail?", limits=["One year."]), summary(), TITLES)
    headings = re.findall(r"^#+ (.+)$", card, flags=re.MULTILINE)
    assert "Caveats and recommendations" in headings
    assert "Calibration" not in headings
    assert "Ethical considerations" not in headings
    assert "did NOT pass" in card
    assert "0.812" in card
    assert re.search(r"^#+ .*\n\n#{1,2} ", card, flags=re.MULTILINE) is None


def test_card_puts_many_baselines_into_a_table_of_their_own_with_their_titles() -> None:
    many = summary().model_copy(update={"baselines": {f"rival_{n}": summary().metrics for n in range(5)}})
    card = model_card(CardFacts("Widgets", "", model_titles={"rival_3": "The third"}), many, TITLES)
    own, others = re.findall(r"^\| (?:Metric|Model) .*$", card, flags=re.MULTILINE)
    assert "Rival" not in own
    assert "ROC AUC (higher is better)" in others
    assert re.findall(r"^\| (The third|Rival \d) \| 0.812 \(0.700 to 0.900\)", card, flags=re.MULTILINE) == [
        "The third", "Rival 0", "Rival 1", "Rival 2", "Rival 4",
    ]  # fmt: skip


def test_card_says_how_to_run_again_and_with_which_versions() -> None:
    card = model_card(CardFacts("Widgets", "Which fail?"), summary(), TITLES)
    assert "\n    fieldwork run widgets --preset tiny --data my|table" in card
    assert "- torch: " in card


def test_limits_name_what_a_model_is_not_meant_for_only_where_that_is_said() -> None:
    assert "Not meant for" not in render(Report("Widgets", "", [limits_section(["Old data."])]))
    html = render(Report("Widgets", "", [limits_section(["Old data."], ["Other widgets."])]))
    assert html.index("Old data.") < html.index("Not meant for:") < html.index("Other widgets.")


def test_card_escapes_what_comes_from_outside() -> None:
    table = Table(["Group", "Rows"], [["a|b\n# heading", 3]])
    facts = CardFacts("Widgets", EVIL, fairness=[table, "[link](http://evil)"], reproduce="```\n# run")
    card = model_card(facts, summary(), TITLES)
    assert "<script>" not in card
    assert "a\\|b (\\# heading)" in card
    assert "[link](" not in card
    assert "\n    ```\n    # run" in card
