"""The bundle of a run as every pipeline stores it: the model with the summary of its run and its reference profile."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from shared.data.files import scratch_folder
from shared.data.home import home
from shared.data.store import Ref, default_store
from shared.monitoring.profile import ReferenceProfile
from shared.orchestration.stored import SUMMARY
from shared.publishing.bundle import Bundle, BundleFacts, write_bundle
from shared.publishing.summary import RunSummary

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_PROFILE = "profile.json"


def stored_bundle(
    facts: BundleFacts,
    summary: RunSummary,
    profile: ReferenceProfile,
    *,
    config: BaseModel,
    metrics: Mapping[str, Any],
    tensors: "Mapping[str, Tensor | np.ndarray[Any, Any]]",
    features: Callable[[Path], None],
    model_card: str,
    report_html: str,
    files: Mapping[str, bytes | str | Path] | None = None,
) -> Ref:
    """Write a bundle, see `write_bundle`, and store it; `files` are those that this pipeline alone has.

    `read_summary` and `reference_of` find what lies beside the model.
    """
    ours = {SUMMARY: summary.model_dump_json(indent=1), _PROFILE: profile.model_dump_json()}
    with scratch_folder(home().cache) as scratch:
        bundle = write_bundle(
            scratch / "bundle",
            facts,
            config=config.model_dump(mode="json"),
            metrics=metrics,
            tensors=tensors,
            features=features,
            model_card=model_card,
            report_html=report_html,
            files=ours | dict(files or {}),
        )
        return default_store().put_tree(bundle.folder)


def reference_of(bundle: Bundle) -> ReferenceProfile:
    """What new data are compared with: the profile that lies in the bundle."""
    return ReferenceProfile.from_json(bundle.json(_PROFILE))
