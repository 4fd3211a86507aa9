"""The divisions are what they say, whatever the order of rows, and the audit sees every leak that is planted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.config import ProtocolConfig
from pipelines.recommender.generator import generate
from pipelines.recommender.prepare import PAIR
from pipelines.recommender.protocol import Division, audit_division, divide
from shared.errors import FieldworkError, RequestError

START = datetime(2024, 1, 1, tzinfo=UTC)
SPLITS = ("leave_last_out", "leave_one_out", "global_time", "given")


@st.composite
def interactions(draw) -> pl.DataFrame:
    """Distinct pairs with times of which many are equal, and parts; enough for every split to succeed."""
    rows = draw(
        st.dictionaries(
            st.tuples(st.integers(0, 9), st.integers(0, 30)),
            st.tuples(st.integers(0, 6), st.sampled_from(["train", "validation", "test"])),
            max_size=60,
        )
    )
    # one user and one row of each part and time are always there
    for number, part in enumerate(["train", "validation", "test", "train"]):
        rows[100, number] = (number, part)
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user, _ in rows],
            "item_id": [f"i{item}" for _, item in rows],
            "interacted_at": [START + timedelta(days=day) for day, _ in rows.values()],
            "part": [part for _, part in rows.values()],
            "weight": [1.0] * len(rows),
        }
    )


def pairs(frame: pl.DataFrame) -> set[tuple[str, str]]:
    return set(frame.select(PAIR).rows())


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return generate(200, 120, seed=1).tables.interactions.with_columns(weight=pl.lit(1.0))


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=40, deadline=None)
@given(frame=interactions(), seed=st.integers(0, 3))
def test_parts_are_disjoint_and_together_everything(split, frame, seed):
    division = divide(frame, ProtocolConfig(split=split), seed)
    parts = list(division.parts().values())
    assert sum(part.height for part in parts) == frame.height
    assert set().union(*(pairs(part) for part in parts)) == pairs(frame)
    assert all(part.columns == ["user_id", "item_id", "interacted_at", "weight"] for part in parts)


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=40, deadline=None)
@given(frame=interactions(), data=st.data())
def test_the_order_of_rows_plays_no_part(split, frame, data):
    order = data.draw(st.permutations(range(frame.height)))
    config = ProtocolConfig(split=split)
    one, other = divide(frame, config, 0), divide(frame[order], config, 0)
    for part, same in zip(one.parts().values(), other.parts().values(), strict=True):
        assert part.equals(same)


@settings(max_examples=40, deadline=None)
@given(frame=interactions())
def test_the_test_item_is_the_last_and_the_validation_item_the_one_before(frame):
    division = divide(frame, ProtocolConfig(split="leave_last_out"), 0)
    for user, rows in frame.group_by("user_id"):
        held_out = [
            part.filter(user_id=user[0])["interacted_at"] for part in list(division.parts().values())[1:]
        ]
        if rows.height < 3:
            assert not any(len(times) for times in held_out)
        else:
            assert [times.to_list() for times in held_out] == [
                [moment] for moment in rows["interacted_at"].sort()[-2:]
            ]


@settings(max_examples=40, deadline=None)
@given(frame=interactions(), seed=st.integers(0, 3))
def test_leave_one_out_takes_one_test_and_one_validation_item_of_users_with_three(frame, seed):
    division = divide(frame, ProtocolConfig(split="leave_one_out"), seed)
    counts = frame.group_by("user_id").len()
    enough = set(counts.filter(pl.col("len") >= 3)["user_id"])
    for part in (division.validation, division.test):
        assert set(part["user_id"]) == enough
        assert part.height == len(enough)


@settings(max_examples=40, deadline=None)
@given(frame=interactions())
def test_global_time_learns_from_the_past_only(frame):
    division = divide(frame, ProtocolConfig(split="global_time"), 0)
    assert division.train["interacted_at"].max() < division.validation["interacted_at"].min()
    assert division.validation["interacted_at"].max() < division.test["interacted_at"].min()
    assert audit_division(division).require().facts["training_after_first_test"] == 0.0


@settings(max_examples=40, deadline=None)
@given(frame=interactions(), seed=st.integers(0, 3), fraction=st.sampled_from([0.1, 0.3, 0.49]))
def test_validation_of_a_given_split_leaves_every_user_something_to_learn_from(frame, seed, fraction):
    frame = frame.with_columns(part=pl.col("part").replace("validation", "train"))
    extra = frame[:1].with_columns(user_id=pl.lit("many"))
    many = pl.concat([extra.with_columns(item_id=pl.lit(f"m{n}"), part=pl.lit("train")) for n in range(40)])
    division = divide(
        pl.concat([frame, many]), ProtocolConfig(split="given", validation_fraction=fraction), seed
    )
    counts = pl.concat([frame, many]).filter(part="train").group_by("user_id").len("all")
    held = division.validation.group_by("user_id").len("held").join(counts, on="user_id")
    assert held["all"].min() >= 3
    assert ((held["held"] - held["all"] * fraction).abs() < 1).all()
    assert (held["held"] < held["all"]).all()
    assert pairs(division.test) == pairs(frame.filter(part="test"))


def test_the_share_set_aside_is_kept_when_users_have_few_items():
    frame = pl.DataFrame(
        {
            "user_id": [f"u{row // 4}" for row in range(8000)],
            "item_id": [f"i{row % 4}" for row in range(8000)],
            "part": ["train"] * 7999 + ["test"],
            "weight": [1.0] * 8000,
        }
    )
    division = divide(frame, ProtocolConfig(validation_fraction=0.1), 0)
    assert division.validation.height / 8000 == pytest.approx(0.1, abs=0.02)


def test_another_seed_draws_other_items_and_the_same_seed_the_same(log):
    timeless = log.drop("interacted_at")
    one, same, other = (divide(timeless, ProtocolConfig(), seed).test for seed in (0, 0, 1))
    assert one.equals(same)
    assert pairs(one) != pairs(other)


def test_equal_times_are_not_ordered_by_file_or_name(log):
    # every user's times are equal: taken by file order or by id, the items held out would be the same for all
    frame = log.with_columns(interacted_at=pl.lit(START))
    test = divide(frame, ProtocolConfig(split="leave_last_out"), 0).test
    largest = frame.group_by("user_id").agg(pl.col("item_id").max())
    assert test.join(largest, on=PAIR).height < 0.3 * test.height


@pytest.mark.parametrize(
    ("dropped", "split"),
    [((), "given"), (("part",), "leave_last_out"), (("part", "interacted_at"), "leave_one_out")],
    ids=["parts", "times", "neither"],
)
def test_auto_takes_the_best_split_that_the_table_allows(log, dropped, split):
    part = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    division = divide(log.with_columns(part=part).drop(dropped), ProtocolConfig(), 0)
    assert division.split == split
    assert division.method.endswith(".")


@pytest.mark.parametrize(
    ("split", "column"),
    [("leave_last_out", "interacted_at"), ("global_time", "interacted_at"), ("given", "part")],
)
def test_a_split_that_the_table_does_not_allow_is_refused_with_the_way_out(log, split, column):
    with pytest.raises(RequestError, match=rf"Expected a column {column}(.|\n)*protocol.split=auto"):
        divide(log.drop("interacted_at"), ProtocolConfig(split=split), 0)


def test_parts_that_stay_empty_are_refused(log):
    two_each = log.group_by("user_id", maintain_order=True).head(2)
    with pytest.raises(RequestError, match="none for validation"):
        divide(two_each, ProtocolConfig(), 0)
    with pytest.raises(RequestError, match="none for test"):
        divide(log.with_columns(part=pl.lit("train")), ProtocolConfig(), 0)
    with pytest.raises(RequestError, match="none for train"):
        divide(log.with_columns(part=pl.lit("test")), ProtocolConfig(), 0)
    with pytest.raises(RequestError, match="distinct times"):
        divide(log.with_columns(interacted_at=pl.lit(START)), ProtocolConfig(split="global_time"), 0)


def test_a_pair_of_two_parts_counts_once_when_the_parts_are_not_used(log):
    copied = pl.concat([log.with_columns(part=pl.lit("train")), log.with_columns(part=pl.lit("test"))])
    division = divide(copied, ProtocolConfig(split="leave_last_out"), 0)
    audit_division(division).require()
    assert sum(part.height for part in division.parts().values()) == log.height


@pytest.fixture(params=["leave_last_out", "global_time", "leave_one_out"])
def sound(request, log) -> Division:
    return divide(log, ProtocolConfig(split=request.param), 0)


def test_a_sound_division_passes_the_audit(sound):
    report = audit_division(sound).require()
    assert report.findings == ()
    assert "repeated_pairs" in report.checks
    assert report.to_json()["clean"] is True


@pytest.mark.parametrize("earlier", ["train", "validation"])
def test_a_planted_pair_of_the_test_part_is_found(sound, earlier):
    planted = replace(sound, **{earlier: pl.concat([getattr(sound, earlier), sound.test[:2]])})
    report = audit_division(planted)
    (found,) = [finding for finding in report.findings if finding.check == "repeated_pairs"]
    assert found.count == 2
    with pytest.raises(FieldworkError, match=rf"2 pairs of user and item are in {earlier} and in test"):
        report.require()


@pytest.mark.parametrize("split", ["leave_last_out", "global_time"])
@pytest.mark.parametrize("earlier", ["train", "validation"])
def test_a_planted_interaction_after_the_users_test_item_is_found(log, split, earlier):
    sound = divide(log, ProtocolConfig(split=split), 0)
    future = sound.test[:1].with_columns(
        pl.col("interacted_at") + timedelta(seconds=1), item_id=pl.lit("planted")
    )
    planted = replace(sound, **{earlier: pl.concat([getattr(sound, earlier), future])})
    with pytest.raises(FieldworkError, match=rf"1 interactions of {earlier} are later than one of the same"):
        audit_division(planted).require()


def test_training_on_the_future_of_other_users_is_a_leak_of_a_split_by_time(log):
    sound = divide(log, ProtocolConfig(split="global_time"), 0)
    future = sound.test[:1].with_columns(user_id=pl.lit("stranger"))
    planted = replace(sound, train=pl.concat([sound.train, future]))
    with pytest.raises(FieldworkError, match="1 interactions of train are not older than all of test"):
        audit_division(planted).require()


def test_facts_tell_what_is_no_leak_but_limits_the_test():
    def rows(*triples):
        return pl.DataFrame(
            {
                "user_id": [user for user, _, _ in triples],
                "item_id": [item for _, item, _ in triples],
                "interacted_at": [START + timedelta(days=day) for _, _, day in triples],
                "weight": [1.0] * len(triples),
            }
        )

    division = Division(
        train=rows(("u", "a", 0), ("u", "b", 1), ("v", "a", 5), ("v", "b", 6)),
        validation=rows(("v", "c", 7)),
        test=rows(("u", "d", 2), ("w", "d", 9), ("v", "a2", 9), ("u", "a", 9)),
        method="By hand.",
        split="given",
    )
    assert audit_division(division).facts == {
        "unknown_test_users": pytest.approx(1 / 3),
        "unknown_test_items": pytest.approx(2 / 3),
        "cold_test_interactions": pytest.approx(3 / 4),
        "training_after_first_test": pytest.approx(2 / 4),
    }


def test_times_of_a_given_division_are_reported_and_not_a_leak(log):
    drawn = log.with_columns(
        part=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    )
    report = audit_division(divide(drawn, ProtocolConfig(), 0)).require()
    assert report.checks == ("repeated_pairs",)
    assert report.facts["training_after_first_test"] > 0.5


@pytest.mark.parametrize("validation", [True, False], ids=["stated", "drawn"])
def test_a_pair_that_a_table_gives_to_training_and_test_is_found(log, validation):
    numbers = pl.int_range(pl.len()) % 10
    later = pl.when(numbers == 1).then(pl.lit("validation" if validation else "train"))
    stated = log.with_columns(
        part=pl.when(numbers == 0).then(pl.lit("test")).otherwise(later.otherwise(pl.lit("train")))
    )
    audit_division(divide(stated, ProtocolConfig(), 0)).require()
    copied = stated.filter(part="train")[:4].with_columns(part=pl.lit("test"))
    report = audit_division(divide(pl.concat([stated, copied]), ProtocolConfig(), 0))
    assert sum(finding.count for finding in report.findings) == 4
    with pytest.raises(FieldworkError, match="keep each in one part"):
        report.require()
