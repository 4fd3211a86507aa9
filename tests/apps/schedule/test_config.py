"""The file that says what runs when: what it may say, and one clear message for everything else."""

from pathlib import Path

import pytest

from apps.schedule.config import DEFAULT_FILE, Score, Train, read_deployments
from pipelines import catalogue
from shared.errors import RequestError


@pytest.fixture
def read(tmp_path):
    """The deployments of a file with this text, by name."""

    def read_text(text: str) -> dict:
        path = tmp_path / "deployments.yaml"
        path.write_text(text)
        return {deployment.name: deployment for deployment in read_deployments(path)}

    return read_text


def test_delivered_file_has_two_deployments_for_every_pipeline():
    names = [deployment.name for deployment in read_deployments(DEFAULT_FILE)]
    expected = [f"{pipeline.name}-{kind}" for pipeline in catalogue.PIPELINES for kind in ("train", "score")]
    assert names == expected


def test_delivered_file_trains_weekly_scores_hourly_and_never_two_at_a_time():
    crons = {d.name: d.settings.cron for d in read_deployments(DEFAULT_FILE)}
    trains = [cron for name, cron in crons.items() if name.endswith("-train")]
    assert len(set(trains)) == len(trains)
    assert all(cron.endswith("* * 0") for cron in trains)
    assert {cron for name, cron in crons.items() if name.endswith("-score")} == {"0 * * * *"}


def test_own_values_win_over_defaults_and_defaults_over_what_is_built_in(read):
    found = read(
        "time_zone: Europe/Berlin\n"
        "defaults: {train: {preset: tiny, retries: 3}, score: {settle_seconds: 5}}\n"
        "pipelines: {credit-scoring: {train: {preset: full, time_zone: UTC}}}\n"
    )
    train, other = found["credit_scoring-train"].settings, found["recommender-train"].settings
    assert isinstance(train, Train)
    assert (train.preset, train.retries, train.time_zone, train.cron) == ("full", 3, "UTC", "0 2 * * 0")
    assert (other.preset, other.time_zone) == ("tiny", "Europe/Berlin")
    score = found["credit_scoring-score"].settings
    assert isinstance(score, Score)
    assert (score.incoming, score.output) == ("incoming/credit_scoring", "scored/credit_scoring")
    assert score.settle_seconds == 5


@pytest.mark.parametrize("pipeline", [pipeline.name for pipeline in catalogue.PIPELINES])
def test_settings_of_every_pipeline_can_be_changed_and_are_checked(read, pipeline):
    found = read(f"pipelines: {{{pipeline}: {{train: {{preset: full, overrides: {{seed: 3}}}}}}}}")
    assert found[f"{pipeline}-train"].settings.overrides == {"seed": 3}
    with pytest.raises(RequestError, match=rf"{pipeline}.train.overrides: .*seeds.* There are: seed"):
        read(f"pipelines: {{{pipeline}: {{train: {{overrides: {{seeds: 3}}}}}}}}")


def test_deployment_that_is_not_enabled_is_left_out(read):
    found = read("pipelines: {recommender: {train: {enabled: false}}}")
    assert "recommender-train" not in found
    assert "recommender-score" in found


def test_deployment_survives_its_way_to_a_worker_as_json(read):
    text = "hooks: [{command: [page, --all], events: [failed]}]\npipelines: {recommender: {score: {explain: true}}}"
    for deployment in read(text).values():
        assert type(deployment).model_validate_json(deployment.model_dump_json()) == deployment


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pipelines: {credit_scorin: {}}", ["name of a pipeline", "credit_scoring"]),
        ("pipelines: {credit_scoring: {}, credit-scoring: {}}", ["each pipeline once"]),
        ("pipelines: {recommender: {train: {cron: daily}}}", ["recommender.train", "cron", "five cron fields"]),
        ("pipelines: {recommender: {train: {cron: '61 * * * *'}}}", ["cron", "Bad minute"]),
        ("pipelines: {recommender: {train: {cron: 5}}}", ["cron", "string"]),
        ("time_zone: Berlin", ["time_zone", "Europe/Berlin"]),
        ("time_zone: ../../etc/passwd", ["time_zone"]),
        ("pipelines: {recommender: {train: {preset: huge}}}", ["preset", "huge"]),
        ("pipelines: {recommender: {train: {retrys: 2}}}", ["retrys"]),
        ("pipelines: {recommender: {train: {retries: -1}}}", ["retries"]),
        ("pipelines: {recommender: {train: {timeout_minutes: 0}}}", ["timeout_minutes"]),
        ("pipelines: {recommender: {train: {overrides: {training.epoch: 3}}}}", ["train.overrides", "are: epochs"]),
        ("pipelines: {recommender: {score: {incoming: s3://bucket/new}}}", ["incoming", "mount"]),
        ("pipelines: {recommender: {score: {output: incoming/recommender/out}}}", ["outside of every incoming"]),
        ("pipelines: {recommender: {score: {output: scored/credit_scoring}}}", ["an output folder for each"]),
        ("pipelines: {recommender: {score: {version: latest}}}", ["version", "latest"]),
        ("hooks: [{webhook: http://example.org}]", ["hooks", "https"]),
        ("schedules: {}", ["schedules"]),
        ("pipelines: {recommender: {}}\npipelines: {}", ["stated twice"]),
        ("- 1", ["deployments with keys"]),
        ("{", ["YAML"]),
    ],
    ids=[
        "unknown-pipeline", "two-spellings", "cron-words", "cron-range", "cron-number", "time-zone", "time-zone-path",
        "preset", "unknown-key", "retries", "timeout", "override", "bucket", "output-inside", "output-shared",
        "version", "hook", "unknown-section", "key-twice", "list", "no-yaml",
    ],
)  # fmt: skip
def test_wrong_file_is_refused_with_the_place_and_what_was_expected(read, text, parts):
    with pytest.raises(RequestError) as caught:
        read(text)
    message = str(caught.value)
    assert all(part in message for part in parts), message


def test_missing_file_is_refused_by_name():
    with pytest.raises(RequestError, match=r"nowhere\.yaml"):
        read_deployments(Path("nowhere.yaml"))
