"""The page of medical segmentation as a radiology researcher uses it."""

import io
import json
import zipfile

import numpy as np
import pytest

from apps.dashboard.components.image_viewer import _MOST_PIXELS, Plane, _at_most, _blended
from apps.dashboard.manifests import to_score

KEY = "medical_segmentation"


def figures(page):
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def titles(page):
    return [figure["layout"]["title"]["text"] for figure in figures(page)]


def kinds(page):
    """Of what is drawn in the last figure."""
    return {trace["type"] for trace in figures(page)[-1]["data"]}


def numbers(page):
    return " ".join(each.proto.body for each in page.get("html"))


def cases_of(page):
    """The list of scored cases."""
    return next(table.value for table in page.dataframe if "refer_reason" in table.value.columns)


def after(page):
    """The button that leads to the next case."""
    return next(button for button in page.button if button.key and button.key.endswith("/after"))


@pytest.fixture
def example(open_page):
    """The page with its generated example scored."""
    page = open_page(KEY)
    return page.button(key=f"{KEY}/example").click().run()


def test_verdict_numbers_and_what_it_is_not_for_stand_first(open_page):
    page = open_page(KEY)
    assert not page.exception
    assert "which cases must a human look at" in page.markdown[0].value
    assert "Dice" in numbers(page)
    assert any(caption.value.startswith("Not a medical device") for caption in page.caption)


def test_cases_for_a_human_come_first_and_the_first_is_shown(example):
    assert not example.exception
    assert not example.error
    cases = cases_of(example)
    assert len(cases) == 12
    referred = cases["refer"].to_list()
    assert referred == sorted(referred, reverse=True)
    assert titles(example)[-1] == cases["case"][0]
    if referred[0]:
        assert any("A human must look at this case" in warning.value for warning in example.warning)


def test_the_next_case_is_shown_with_its_measures(example):
    names = cases_of(example)["case"].to_list()
    after(example).click().run()
    assert not example.exception
    assert titles(example)[-1] == names[1]
    measures = example.dataframe[-1].value
    assert list(measures.columns) == ["structure", "area, mm²", "pieces", "confidence"]


def test_grad_cam_is_drawn_on_demand_with_the_warning_of_a_failed_check(example, failed_explanation):
    words = cases_of(example)["found"].to_list()
    for _ in range(next(row for row, text in enumerate(words) if not text.startswith("no "))):
        after(example).click().run()
    assert kinds(example) == {"image", "scatter"}
    example.toggle(key=f"{KEY}/grad-cam").set_value(True).run()
    assert not example.exception
    assert kinds(example) == {"image", "scatter", "heatmap"}
    assert any("Not faithful for this model" in error.value.replace("\\", "") for error in example.error)


def test_a_file_that_is_no_image_is_refused_in_one_line(open_page):
    page = open_page(KEY)
    page.file_uploader(key=f"{KEY}/upload").set_value(("scan.png", b"no picture", "image/png")).run()
    page.button(key=f"{KEY}/score").click().run()
    assert not page.exception
    [error] = [error.value for error in page.error]
    assert "scan" in error
    assert "Traceback" not in error


def test_what_was_published_says_how_far_to_trust_it(open_page):
    page = open_page(KEY, view="How far to trust it")
    assert not page.exception
    assert titles(page) == ["Dice of single test cases", "Mean Dice of the cases that are kept"]
    metrics = page.dataframe[-1].value
    assert {"metric", "value", "95 % interval", "n"} <= set(metrics.columns)
    assert any("random order" in text.value for text in page.markdown)


def test_a_failed_check_stands_beside_what_was_published_of_the_maps(open_page, failed_explanation):
    page = open_page(KEY, view="How far to trust it")
    assert [error.value.replace("\\", "") for error in page.error] == [failed_explanation]


def test_of_a_folder_the_manifest_is_scored_and_else_all_of_it(tmp_path):
    (tmp_path / "a.png").touch()
    assert to_score(tmp_path) == tmp_path
    assert to_score(tmp_path / "a.png") == tmp_path / "a.png"
    (tmp_path / "Manifest.csv").touch()
    assert to_score(tmp_path) == tmp_path / "Manifest.csv"


def test_large_images_are_thinned_and_keep_their_extent_and_numbers():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (2 * _MOST_PIXELS + 1, 100, 1), dtype=np.uint8)
    regions = rng.integers(0, 3, pixels.shape[:2], dtype=np.uint8)
    whole = Plane(pixels, regions, None, (0.5, 2.0), "mm", ("a", "b"))
    small = _at_most(whole, _MOST_PIXELS)
    assert max(small.pixels.shape[:2]) <= _MOST_PIXELS
    assert small.extent == pytest.approx(whole.extent)
    assert set(np.unique(small.regions)) <= {0, 1, 2}


def test_regions_colour_their_pixels_and_leave_the_others_alone():
    pixels = np.full((2, 2, 1), 100, dtype=np.uint8)
    regions = np.array([[0, 1], [2, 0]], dtype=np.uint8)
    plane = Plane(pixels, regions, None, (1.0, 1.0), "mm", ("a", "b"))
    blended = _blended(plane, 1.0)
    assert (blended[0, 0] == 100).all()
    assert blended[0, 1].tolist() == [240, 228, 66]
    assert (_blended(plane, 0.0) == 100).all()


def test_a_folder_of_masks_comes_as_one_zip_file(tmp_path, monkeypatch):
    from apps.dashboard.components import archive

    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    given = {}
    monkeypatch.setattr(
        archive.st, "download_button", lambda label, data, name, mime, **_: given.update(data=data, name=name)
    )
    archive.download_folder(tmp_path, "Download", key="masks")
    with zipfile.ZipFile(io.BytesIO(given["data"]())) as found:
        assert {name: found.read(name) for name in found.namelist()} == {"a.png": b"a.png", "b.png": b"b.png"}
