"""The part of the report about data: which images there are, of whom, how large pixels are, what was left out."""

from collections import Counter

import numpy as np

from pipelines.medical_segmentation.cases import NO_GRADE, Cases
from pipelines.medical_segmentation.evidence import EvidenceDocuments
from pipelines.medical_segmentation.wording import share
from shared.publishing.blocks import KeyValues, Section, Table, Value, show
from shared.publishing.standard import data_section

_MOST_REFUSED = 10


def images_section(evidence: EvidenceDocuments) -> Section:
    """Cases, patients, sizes and spacing; division with what it left out, leak audit, quarantine, refused files."""
    common = data_section(
        split=evidence.split,
        audit=evidence.audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    blocks = [KeyValues(image_facts(evidence.cases)), *common.blocks]
    refused = evidence.cases.refused
    if refused:
        rows = [[one.name, one.reason] for one in refused[:_MOST_REFUSED]]
        blocks.append(Table(["Case", "Why it was not used"], rows, f"Images not used ({len(refused):,})"))
    return Section(common.title, blocks)


def image_facts(cases: Cases) -> dict[str, Value]:
    """What the cases are, in words."""
    kinds = Counter(cases.modalities)
    facts: dict[str, Value] = {
        "Cases": f"{cases.num_cases:,} of {len(set(cases.patients)):,} patients",
        "Kind": ("volumes" if cases.dimensions == 3 else "pictures")
        + f", {', '.join(f'{kind} ({num:,})' for kind, num in kinds.most_common())}",
        "Size of the files": _sizes(cases),
        "Seen by the network": _grids(cases),
        "Spacing": _spacing(cases),
    }
    if cases.has_mask.any():
        shown = cases.num_pixels[cases.has_mask] > 0
        facts |= {
            f"Shows {name}": f"{int(shown[:, number].sum()):,} of {len(shown):,} cases with a mask"
            for number, name in enumerate(cases.labels.names)
        }
        inside = cases.num_pixels[cases.has_mask].sum(axis=1) / [
            np.prod(frame.own) for frame, has in zip(cases.frames, cases.has_mask, strict=True) if has
        ]
        facts["Share of the image that is structure"] = f"median {share(float(np.median(inside)), 2)}"
    known = cases.grades[cases.grades != NO_GRADE]
    if len(known):
        counts = np.bincount(known)
        facts["Grades"] = ", ".join(f"{grade}: {num:,}" for grade, num in enumerate(counts))
    return facts


def _sizes(cases: Cases) -> str:
    own = np.array([frame.own for frame in cases.frames])
    low, high = own.min(axis=0), own.max(axis=0)
    if (low == high).all():
        return " x ".join(map(str, low))
    return f"{' x '.join(map(str, low))} to {' x '.join(map(str, high))}"


def _grids(cases: Cases) -> str:
    grids = {frame.grid for frame in cases.frames}
    if len(grids) == 1:
        return f"{' x '.join(map(str, grids.pop()))}, scaled"
    return "at one spacing" if cases.dimensions == 3 else "at their own scale"


def _spacing(cases: Cases) -> str:
    known = ~np.isnan(cases.spacing_mm).any(axis=1)
    if not known.any():
        return "unknown: sizes are in pixels"
    median = " x ".join(show(float(step)) for step in np.median(cases.spacing_mm[known], axis=0))
    text = f"median {median} mm"
    return text if known.all() else f"{text}; unknown for {int((~known).sum()):,} cases"
