"""All numbers of a model in one table: value, interval, sample, direction, and the best baseline of each."""

from collections.abc import Mapping

import streamlit as st

from apps.dashboard.published import Model
from shared.publishing.blocks import best_first, direction, estimate, interval, show
from shared.publishing.standard import readable


def metrics_table(model: Model, titles: Mapping[str, str], baselines: Mapping[str, str], *, key: str) -> None:
    """Metrics in the order of `titles`, those without a title last; what could not be computed says why."""
    metrics = model.summary.metrics
    names = [*(name for name in titles if name in metrics), *(name for name in metrics if name not in titles)]
    rows = []
    for name in names:
        document = metrics[name].model_dump()
        rivals = {
            other: found[name].model_dump()
            for other, found in model.summary.baselines.items()
            if name in found and found[name].value is not None
        }
        ranked = best_first(
            {other: rival["value"] for other, rival in rivals.items()}, document["higher_is_better"]
        )
        rows.append(
            {
                "metric": titles.get(name, readable(name.removeprefix("test/"))),
                "value": f"{estimate(document)} {document['unit']}".strip(),
                "95 % interval": interval(document) or "–",
                "n": show(document["n"]),
                "direction": direction(document) or document.get("reason", ""),
                "baselines, best first": ", ".join(
                    f"{baselines.get(other, readable(other))} {estimate(rivals[other])}"
                    for other in ranked or rivals
                ),
            }
        )
    st.dataframe(rows, hide_index=True, key=key, height="content")
