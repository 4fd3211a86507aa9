"""Text that was written by others, made safe for the places where Streamlit and plotly read markup."""

import html
import re

# What Markdown, GitHub's links and Streamlit's colours and icons begin with; and lists, at the start of a line.
_MARKDOWN = re.compile(r"[\\`*_\[\]<>#|~$:&^=@]|(?<=www)\.|(?m:^\s*)[-+]|(?m:^\s*\d+)[.)]")


def markdown_text(text: str) -> str:
    """Text as it is in places that read Markdown: no markup, picture, colour or formula can come out of it.

    Streamlit makes an address that stands in the text as it is one that can be clicked; nothing is fetched from there.
    """
    return _MARKDOWN.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", text).replace("\n", "  \n")


def escaped(text: str) -> str:
    """Text as it is in HTML, and in plotly, which reads some of its tags."""
    return html.escape(text, quote=True)


def ago(seconds: float) -> str:
    """A duration as people say it: `3 minutes ago`, `2 days ago`."""
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) >= 1:
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"
