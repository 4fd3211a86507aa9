"""SVG for inlining: only drawing elements survive, ids cannot clash, neutral colours follow the page."""

import re
from xml.etree import ElementTree

from shared.errors import FieldworkError

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = frozenset(
    {"svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"}
    | {"use", "defs", "clipPath", "linearGradient", "stop", "title", "desc", "image"}
)
# Pixels that are in the drawing itself; other pictures would be fetched from somewhere.
_PIXELS = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=\s]+")
_URL = re.compile(r"url\(\s*#([\w.-]+)\s*\)")
_UNSAFE_VALUE = re.compile(r"url\(\s*(?!#)|javascript:|expression\(|@import|\\", re.IGNORECASE)
_FONT_FAMILY = re.compile(r"(font:\s*[^;]*?\d+(?:\.\d+)?px)[^;]*")

# Neutral colours of our figures and the page's variables that replace them.
INK, MUTED, GRID, PAPER = "#1d2630", "#5c6875", "#d9dfe5", "#fefefe"
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--paper)"}


def inline_svg(svg: str, prefix: str, alt: str) -> str:
    """Return the drawing as one `<svg role="img">` element, safe to stand in a page.

    Scripts, links to elsewhere, styles that would leak into the page and unknown elements are dropped; pictures stay
    where their pixels are in the drawing, as PNG or JPEG. Every id gets `prefix`, so several drawings can share a page.
    Raises FieldworkError for what is not an SVG.
    """
    # A document type could declare entities, the one part of XML that can grow without bound.
    start = svg.find("<svg")
    if start < 0 or "<!ENTITY" in svg:
        raise FieldworkError("Expected an SVG drawing. Received other text.")
    try:
        root = ElementTree.fromstring(svg[start:])
    except ElementTree.ParseError as error:
        raise FieldworkError(
            f"Expected an SVG drawing. Received one that cannot be read: {error}."
        ) from error
    _clean(root, prefix)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": alt, "stroke-linejoin": "round", "stroke-linecap": "butt"}
    ElementTree.register_namespace("", _SVG[1:-1])
    text = ElementTree.tostring(root, encoding="unicode")
    return _themed(text)


def _clean(element: ElementTree.Element, prefix: str) -> None:
    for child in list(element):
        name = child.tag.removeprefix(_SVG) if isinstance(child.tag, str) else ""
        if name in _ELEMENTS:
            _clean(child, prefix)
        else:
            element.remove(child)
    is_image = element.tag == f"{_SVG}image"
    element.attrib = dict(_clean_attributes(element.attrib, prefix, is_image=is_image))


def _clean_attributes(attributes: dict[str, str], prefix: str, *, is_image: bool) -> list[tuple[str, str]]:
    kept = []
    for name, value in attributes.items():
        plain_name = "href" if name == _XLINK else name
        if plain_name.startswith(("on", "{")) or _UNSAFE_VALUE.search(value):
            continue
        if plain_name == "href":
            if value.startswith("#"):
                value = f"#{prefix}{value[1:]}"
            elif not (is_image and _PIXELS.fullmatch(value)):
                continue
        elif plain_name == "id":
            value = prefix + value
        value = _URL.sub(rf"url(#{prefix}\1)", value)
        if plain_name == "style":
            value = _FONT_FAMILY.sub(r"\1 var(--font)", value)
        kept.append((plain_name, value))
    return kept


def _themed(text: str) -> str:
    for colour, variable in _THEME.items():
        # A variable is only understood in a style, not in a presentation attribute.
        text = re.sub(
            rf"((?:fill|stroke|stop-color):\s*){colour}", rf"\1{variable}", text, flags=re.IGNORECASE
        )
    return text
