"""The report of a run."""

from pipelines.recommender.evidence import QUESTION, TITLES, EvidenceDocuments
from pipelines.recommender.score import Scorer
from shared.publishing.blocks import Report
from shared.publishing.report import render
from shared.publishing.standard import results_section, run_section
from shared.publishing.summary import RunSummary


def run_report(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The report as one self-contained HTML page."""
    return render(
        Report(
            title="Recommender: evaluation report",
            subtitle=QUESTION,
            sections=[results_section(summary, TITLES), run_section(summary)],
        )
    )
