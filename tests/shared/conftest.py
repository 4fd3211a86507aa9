"""Bundles and an empty registry, for the tests of publishing and of what stands on it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from shared.data.home import Home, home
from shared.publishing.bundle import Bundle, BundleFacts, write_bundle

DIGEST = "0" * 64
MakeBundle = Callable[..., Bundle]


def facts(**changes: object) -> BundleFacts:
    known = {"pipeline": "widgets", "source": "synthetic", "preset": "tiny", "contract": "widgets@1.0.0"}
    known |= {"contract_digest": DIGEST, "input_digest": DIGEST, "code_digest": DIGEST, "seed": 7}
    return BundleFacts.model_validate(known | changes)


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    def make(
        name: str = "bundle",
        *,
        value: float = 1.0,
        origin: Mapping[str, object] | None = None,
        **options: object,
    ) -> Bundle:
        settings = {
            "facts": facts(**(origin or {})),
            "config": {"value": value, "layers": [8, 8]},
            "metrics": {"loss": value},
        }
        settings |= {"tensors": {"weight": np.full((3, 2), value, dtype=np.float32)}}
        settings |= {"features": lambda folder: (folder / "columns.json").write_text('["a", "b"]')}
        return write_bundle(tmp_path / name, **(settings | options))  # type: ignore[arg-type]

    return make


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A new home with an empty registry."""
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "home"))
    for name in ("FIELDWORK_STORE", "FIELDWORK_ARTIFACTS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    here = home()
    here.root.mkdir()
    return here
