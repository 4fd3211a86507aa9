"""Every kind of model under one name, saved without pickle."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.recommender.ials import Ials
from pipelines.recommender.linear import Ease, ItemKnn, Popularity
from pipelines.recommender.network_ranker import NetworkRanker
from pipelines.recommender.ranker import Ranker

TITLES = {
    "popularity": "Popularity",
    "item_knn": "Item neighbours",
    "ease": "EASE",
    "ials": "iALS",
    "mf": "Matrix factorisation",
    "gmf": "GMF",
    "mlp": "MLP",
    "neumf_scratch": "NeuMF from scratch",
    "neumf": "Pre-trained NeuMF",
    "hybrid": "Hybrid NeuMF",
}
_CLASSES: dict[str, type[Ranker]] = {
    "popularity": Popularity,
    "item_knn": ItemKnn,
    "ease": Ease,
    "ials": Ials,
}


def restore(kind: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Ranker:
    """A model from what `settings` and `tensors` of the same kind gave."""
    return _CLASSES.get(kind, NetworkRanker).restore(settings, tensors)


def save(kind: str, ranker: Ranker, folder: Path) -> None:
    """Writes `ranker.json` and `model.safetensors` into an existing folder."""
    from safetensors.torch import save_file

    (folder / "ranker.json").write_text(json.dumps({"kind": kind, "settings": ranker.settings()}, indent=1))
    save_file(
        {name: tensor.contiguous() for name, tensor in ranker.tensors().items()}, folder / "model.safetensors"
    )


def load(folder: Path) -> tuple[str, Ranker]:
    """Kind and model of what `save` wrote."""
    from safetensors.torch import load_file

    document = json.loads((folder / "ranker.json").read_text())
    return document["kind"], restore(
        document["kind"], document["settings"], load_file(folder / "model.safetensors")
    )
