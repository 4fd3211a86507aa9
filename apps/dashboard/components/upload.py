"""New data: upload or example, contract check, quarantine, scores, drift, downloads. The same on every page."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import banner, plain_errors
from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.drift import drift_line
from apps.dashboard.components.results import download, results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.domain import AnyDomain
from apps.dashboard.published import Model, ScoreRun, score_runs
from apps.dashboard.scoring import Scored, forget, keep_upload, score_file, session_folder, without_places
from shared.contracts.report import ContractBroken, Violation
from shared.publishing.blocks import show
from shared.publishing.standard import readable

if TYPE_CHECKING:
    from shared.contracts.contract import Contract

_SHOWN_QUARANTINED = 500
_MOST_SCORED_BEFORE = 10


def score_upload(domain: AnyDomain, model: Model) -> Scored | None:
    """Let the user choose a file, score it, and show what became of it; None as long as nothing is scored.

    What was scored stays until another file is, or another version is looked at.
    """
    with st.container(border=True):
        source = _chosen(domain, model)
    if source is not None:
        _forget_scored(domain)
        with plain_errors(), st.spinner("Checking and scoring ...", show_time=True):
            _score(domain, model, *source)
    kept: tuple[int, Scored] | None = st.session_state.get(domain.key("scored"))
    if kept is None or kept[0] != model.version:
        return None
    _show(domain, kept[1])
    return kept[1]


def _chosen(domain: AnyDomain, model: Model) -> tuple[Path, bool] | None:
    """The input and whether to explain, once a button asked for it."""
    several = "One or more files" if domain.several else "A file"
    uploaded = st.file_uploader(
        f"{several} in the shape of {_contract(domain, model).name}",
        type=list(domain.accepts),
        accept_multiple_files=domain.several,
        key=domain.key("upload"),
    )
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded is not None else []
    before = _scored_before(domain) if not files else None
    with st.container(horizontal=True, vertical_alignment="center"):
        score = st.button(
            "Score", type="primary", disabled=not files and before is None, key=domain.key("score")
        )
        example = domain.example is not None and st.button(
            f"Score {domain.example_title}", key=domain.key("example")
        )
        explain = domain.explains and st.toggle("Explain each case", value=True, key=domain.key("explain"))
    _expectation(domain, model)
    with plain_errors():
        if score and files:
            return keep_upload(files, several=domain.several), explain
        if score and before is not None:
            return before, explain
        if example and domain.example is not None:
            return domain.example(
                model, Path(tempfile.mkdtemp(prefix="example-", dir=session_folder()))
            ), explain
    return None


def _scored_before(domain: AnyDomain) -> Path | None:
    """One of the files that the command line or a schedule scored lately and that are still there, the last one first.

    It is read where it lies; nothing beside it changes.
    """
    lately: dict[str, ScoreRun] = {}
    for run in score_runs(domain.pipeline):
        lately.setdefault(run.path, run)
    found = [run for path, run in lately.items() if path and Path(path).exists()][:_MOST_SCORED_BEFORE]
    if not found:
        return None
    chosen = st.selectbox(
        "Or a file that was scored lately",
        found,
        format_func=lambda run: f"{run.input}, {run.at:%Y-%m-%d %H:%M} UTC",
        key=domain.key("scored-before"),
    )
    return Path(chosen.path)


def _contract(domain: AnyDomain, model: Model) -> "Contract":
    from shared.contracts.contract import load

    return domain.contract(model) if domain.contract else load(domain.entry.input_contract)


def _expectation(domain: AnyDomain, model: Model) -> None:
    """The contract in words, for those who ask for it."""
    from shared.contracts.describe import describe

    with st.popover("What the file must hold"):
        contract = _contract(domain, model)
        st.caption(markdown_text(f"{contract.id_version}. {contract.purpose}"))
        st.dataframe(describe(contract), hide_index=True, width=900)


def _score(domain: AnyDomain, model: Model, source: Path, explain: bool) -> None:
    try:
        scored = score_file(domain, model, source, explain=explain)
    except ContractBroken as error:
        forget(source)
        banner("bad", without_places(str(error).splitlines()[0]))
        _violations(error.violations)
        banner("neutral", str(error).splitlines()[-1])
    except BaseException:
        forget(source)
        raise
    else:
        st.session_state[domain.key("scored")] = (model.version, scored)


def _forget_scored(domain: AnyDomain) -> None:
    before = st.session_state.pop(domain.key("scored"), None)
    if before is not None:
        forget(before[1].source)
        forget(before[1].output)


def _violations(found: tuple[Violation, ...]) -> None:
    """What is wrong, rule by rule, most frequent first; no values of rows."""
    rows = [
        {
            "column": each.column or "(whole file)",
            "rule": readable(each.rule),
            "rows": each.count,
            "first rows": ", ".join(map(str, each.rows)),
            "expected": each.expected,
            "received": each.received,
        }
        for each in sorted(found, key=lambda each: (not each.blocking, -each.count))
    ]
    st.dataframe(rows, hide_index=True)


def _show(domain: AnyDomain, scored: Scored) -> None:
    """Counts, drift, quarantine and downloads of what was scored."""
    summary = scored.summary
    st.caption(markdown_text(f"{scored.name}, scored with version {summary.version} in {_seconds(scored)}"))
    value_cards({f"{readable(name)}": (show(count), "") for name, count in summary.rows.items()})
    drift_line(summary.drift)
    _quarantine(domain, scored)
    with st.container(horizontal=True):
        download(
            scored.frame(),
            domain.entry.output_contract,
            f"Download {domain.entry.output_contract}",
            key=domain.key("download"),
        )
        explained = scored.explained()
        if explained is not None:
            download(explained, "explanations", "Download explanations", key=domain.key("explanations"))


def _seconds(scored: Scored) -> str:
    return f"{scored.summary.seconds:.1f} s"


def _quarantine(domain: AnyDomain, scored: Scored) -> None:
    rows = scored.quarantined()
    if rows is None:
        return
    with st.expander(f"{rows.height:,} rows break the contract and were not scored", icon=":material/rule:"):
        first = [name for name in ("row_number", "broken_rules") if name in rows.columns]
        order = [*first, *(name for name in rows.columns if name not in first)]
        results_table(rows.head(_SHOWN_QUARANTINED), key=domain.key("quarantine"), order=order)
        download(
            rows, "quarantine", "Download these rows with the rules they break", key=domain.key("set-aside")
        )
