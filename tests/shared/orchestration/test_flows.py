from pathlib import Path

import pytest

from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.run import current_run
from shared.orchestration.scoring import ScoreSummary
from shared.publishing.summary import RunSummary

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow(name="widgets-train", persist_result=False, validate_parameters=False)
def train(source: str, config: dict[str, object]) -> RunSummary:
    known = {"pipeline": "widgets", "contract": "widgets@1.0.0", "rows": {"in": 3}, "metrics": {}}
    verdict = f"{config}, cache {current_run().use_cache}"
    return RunSummary.model_validate(known | {"preset": "tiny", "source": source, "verdict": verdict})


def score_widgets(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    return ScoreSummary(
        pipeline="widgets",
        version=version,
        contract="widgets@1.0.0",
        rows={"in": 1},
        output=str(output_path),
        quarantine=None,
        explanations=str(explain),
        drift={},
    )


def test_run_gives_the_training_flow_its_source_and_the_configuration_that_was_asked_for():
    run = run_of(train, lambda preset, source, overrides: {"preset": preset, "for": source, **overrides})
    summary = run("quick", "widgets.csv", {"seed": 7}, use_cache=False)
    assert summary.source == "widgets.csv"
    assert summary.verdict == "{'preset': 'quick', 'for': 'widgets.csv', 'seed': 7}, cache False"


def test_score_asks_for_the_champion_and_times_the_whole():
    score = score_of("widgets", score_widgets)
    summary = score(Path("new.csv"), Path("out.csv"))
    assert (summary.version, summary.explanations, summary.output) == ("champion", "False", "out.csv")
    assert summary.seconds > 0
    asked = score(Path("new.csv"), Path("out.csv"), version="2", explain=True)
    assert (asked.version, asked.explanations) == ("2", "True")
