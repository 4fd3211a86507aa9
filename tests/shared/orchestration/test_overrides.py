from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import RequestError
from shared.orchestration.overrides import Section as FrozenSection
from shared.orchestration.overrides import (
    as_by_default,
    configured,
    preset_config,
    validation_message,
    with_overrides,
)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(20, ge=1)
    learning_rate: float = 1e-3
    sizes: tuple[int, ...] = (8, 8)
    patience: int | None = 5


class Extra(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "a"
    rank: int = 1


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    kind: Literal["wide", "deep"] = "wide"
    training: Section = Section()
    extra: Extra | None = None
    limits: dict[str, float] = Field(default_factory=dict)


def test_dotted_keys_change_what_they_name_and_nothing_else():
    changed = with_overrides(Config(), {"training.epochs": 3, "seed": 7, "training.sizes": [4]})
    assert changed == Config(seed=7, training=Section(epochs=3, sizes=(4,)))


def test_what_a_step_does_not_look_at_is_as_by_default_and_nothing_else_is():
    config = Config(seed=7, training=Section(epochs=3, patience=2), limits={"rent": 2.0})
    expected = Config(training=Section(epochs=3), limits={"rent": 2.0})
    assert as_by_default(config, ("seed", "training.patience")) == expected
    assert as_by_default(config, ("training", "limits")) == Config(seed=7)
    assert as_by_default(config, ()) == config


def test_settings_that_suit_a_source_lie_over_the_preset_and_under_what_the_user_sets():
    presets = {"tiny": lambda: Config(training=Section(epochs=1, patience=1))}

    def suiting(source: str, preset: str) -> dict[str, Any]:
        return {"training.epochs": 50, "seed": 2} if (source, preset) == ("games", "tiny") else {}

    configure = configured(presets, parsers={"kind": str.lower}, suiting=suiting)
    changed = {"seed": 3, "kind": "DEEP"}
    games = Config(seed=3, kind="deep", training=Section(epochs=50, patience=1))
    assert configure("tiny", "games", changed) == games
    assert configure("tiny", "shops", {}) == presets["tiny"]()
    assert configured(presets)("tiny", "games", {"seed": 3}).training.epochs == 1
    with pytest.raises(RequestError, match=r"Expected a preset: tiny\. Received 'huge'"):
        configure("huge", "games", {})


def test_a_key_with_a_parser_gets_what_the_parser_makes_of_it():
    parsers = {"training.sizes": lambda text: [int(part) for part in text.split("+")]}
    changed = with_overrides(Config(), {"training.sizes": "4+2", "seed": 7}, parsers)
    assert changed == Config(seed=7, training=Section(sizes=(4, 2)))
    assert with_overrides(Config(), {"seed": 7}, parsers) == Config(seed=7)


def test_the_given_configuration_stays_as_it_is():
    config = Config()
    with_overrides(config, {"training.epochs": 3})
    assert config == Config()


@given(seed=st.integers(0, 10**9), epochs=st.integers(1, 10**6), rate=st.floats(1e-9, 1e9))
def test_any_valid_values_arrive_unchanged(seed, epochs, rate):
    changed = with_overrides(
        Config(), {"seed": seed, "training.epochs": epochs, "training.learning_rate": rate}
    )
    assert (changed.seed, changed.training.epochs, changed.training.learning_rate) == (seed, epochs, rate)


def test_a_preset_that_already_differs_keeps_its_other_values():
    preset = Config(training=Section(epochs=2, patience=None))
    assert with_overrides(preset, {"training.learning_rate": 1.0}).training == Section(
        epochs=2, patience=None, learning_rate=1.0
    )


def test_none_switches_an_optional_knob_off():
    assert with_overrides(Config(), {"training.patience": None}).training.patience is None


def test_a_nested_model_can_be_given_whole():
    assert with_overrides(Config(), {"training": {"epochs": 4}}).training == Section(epochs=4)
    assert with_overrides(Config(), {"extra": Extra(name="b")}).extra == Extra(name="b")


def test_part_of_an_optional_section_that_is_there_can_be_set():
    config = Config(extra=Extra(name="b"))
    assert with_overrides(config, {"extra.rank": 5}).extra == Extra(name="b", rank=5)


def test_open_mappings_take_any_key():
    assert with_overrides(Config(limits={"a": 1.0}), {"limits.b": 2}).limits == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"trainin.epochs": 3}, ["trainin.epochs", "training"]),
        ({"training.epoch": 3}, ["training.epoch", "epochs"]),
        ({"zzz": 3}, ["zzz", "seed", "kind", "training", "extra"]),
        ({"seed.deep": 3}, ["seed.deep", "seed has no fields"]),
        ({"extra.name": "b"}, ["extra.name", "extra has no fields", "whole"]),
        ({"training.epochs": "many"}, ["training.epochs", "integer", "'many'"]),
        ({"training.epochs": 2.5}, ["training.epochs", "2.5"]),
        ({"training.epochs": 0}, ["training.epochs", "greater than or equal to 1", "Received 0"]),
        ({"training.epochs": None}, ["training.epochs", "None"]),
        ({"training": 3}, ["training", "3"]),
        ({"training": {"epoch": 3}}, ["training.epoch"]),
        ({"kind": "../a..b"}, ["kind", "Received '../a..b'."]),
        ({"kind": "round"}, ["kind", "'wide' or 'deep'", "'round'"]),
        ({"training.sizes": [1, "x"]}, ["training.sizes.1", "'x'"]),
    ],
)  # fmt: skip
def test_wrong_request_is_one_line_that_names_the_key_and_the_way_out(overrides, parts):
    with pytest.raises(RequestError) as raised:
        with_overrides(Config(), overrides)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 300
    for part in parts:
        assert part in message


def test_several_problems_are_counted_and_a_long_value_is_cut():
    class Wrong(BaseModel):
        first: int
        second: int

    with pytest.raises(ValidationError) as raised:
        Wrong.model_validate({"first": "x" * 10_000, "second": "y"})
    message = validation_message(raised.value)
    assert message.startswith("first: ")
    assert message.endswith("(1 more problems)")
    assert len(message) < 300


def test_a_missing_value_is_not_shown_as_received():
    class Needed(BaseModel):
        first: int

    with pytest.raises(ValidationError) as raised:
        Needed.model_validate({})
    assert validation_message(raised.value) == "first: Field required."


def test_overrides_do_not_leak_between_calls():
    overrides: dict[str, Any] = {"limits": {"a": 1}}
    first = with_overrides(Config(), overrides)
    second = with_overrides(first, {"limits.b": 2})
    assert (first.limits, second.limits, overrides) == ({"a": 1}, {"a": 1, "b": 2}, {"limits": {"a": 1}})


def test_preset_is_made_by_its_function_and_an_unknown_one_names_the_others():
    presets = {"tiny": lambda: Config(seed=1), "full": lambda: Config(seed=2)}
    assert preset_config(presets, "full").seed == 2
    with pytest.raises(RequestError, match=r"tiny, full\. Received 'huge'"):
        preset_config(presets, "huge")


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_section_takes_only_finite_numbers_and_known_keys_and_stays_as_it_is(rate):
    class Knobs(FrozenSection):
        rate: float = 1.0

    with pytest.raises(RequestError, match="rate: Input should be a finite number"):
        with_overrides(Knobs(), {"rate": rate})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Knobs.model_validate({"speed": 1.0})
    with pytest.raises(ValidationError, match="frozen"):
        Knobs().rate = 2.0  # type: ignore[misc]
