"""A folder of results as one file to download."""

import io
import zipfile
from pathlib import Path

import streamlit as st


def download_folder(folder: Path, label: str, *, key: str) -> None:
    """A button for the files of a folder as a ZIP file, written when it is asked for; nothing without files."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return

    def content() -> bytes:
        target = io.BytesIO()
        # what lies there is compressed already
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        return target.getvalue()

    st.download_button(
        label,
        content,
        f"{folder.name}.zip",
        "application/zip",
        key=key,
        on_click="ignore",
        icon=":material/download:",
    )
