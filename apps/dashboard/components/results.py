"""Tables of results: to look at, to choose a row from, and to download."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import polars as pl

MOMENT = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")
"""How tables write moments; their column says that they are UTC."""

# More rows are not sent to the browser; the download has them all.
MOST_ROWS = 5000


def results_table(
    frame: "pl.DataFrame",
    *,
    key: str,
    columns: Mapping[str, Any] | None = None,
    order: Sequence[str] | None = None,
    choose: bool = False,
    height: int = 320,
) -> int | None:
    """A table that can be sorted and searched; with `choose`, returns the index of the chosen row or None.

    `columns` is what `st.dataframe` calls `column_config`, `order` which columns are shown. Cells are shown as text,
    whatever is in them.
    """
    import polars as pl

    # the table would write None where there is no text
    shown = frame.head(MOST_ROWS).with_columns(pl.col(pl.String).fill_null(""))
    options: dict[str, Any] = {"on_select": "rerun", "selection_mode": "single-row"} if choose else {}
    state = st.dataframe(
        shown,
        key=key,
        hide_index=True,
        height=min(height, 38 + 35 * max(shown.height, 1)),
        column_config=dict(columns or {}),
        column_order=list(order) if order else None,
        **options,
    )
    if frame.height > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {frame.height:,} rows; the download has all.")
    if not choose:
        return None
    chosen = state["selection"]["rows"]
    return int(chosen[0]) if chosen and chosen[0] < shown.height else None


def download(frame: "pl.DataFrame", name: str, label: str, *, key: str) -> None:
    """A button for a table as a CSV file, or as Parquet where it has lists; it is written when it is asked for."""
    nested = any(dtype.is_nested() for dtype in frame.schema.values())
    suffix, mime = (".parquet", "application/vnd.apache.parquet") if nested else (".csv", "text/csv")

    def content() -> bytes:
        target = io.BytesIO()
        if nested:
            frame.write_parquet(target)
        else:
            frame.write_csv(target)
        return target.getvalue()

    st.download_button(
        label, content, f"{name}{suffix}", mime, key=key, on_click="ignore", icon=":material/download:"
    )


def download_file(path: Path, label: str, mime: str, *, key: str, name: str = "") -> None:
    """A button for a file as it is, such as a report."""
    st.download_button(
        label,
        path.read_bytes,
        name or path.name,
        mime,
        key=key,
        on_click="ignore",
        icon=":material/download:",
    )
