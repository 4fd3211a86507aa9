"""Frozen configurations, and changing single knobs of them by dotted key, as `--set training.epochs=30` does."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import RequestError

Config = TypeVar("Config", bound=BaseModel)
Parser = Callable[[Any], Any]
Configure = Callable[[str, str, Mapping[str, Any]], Config]


class Section(BaseModel):
    """Base of a configuration and of its sections: frozen, no unknown keys, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def preset_config(presets: Mapping[str, Callable[[], Config]], name: str) -> Config:
    """The configuration of a preset. Raises RequestError with the names that there are."""
    if name not in presets:
        raise RequestError(f"Expected a preset: {', '.join(presets)}. Received {name!r}.")
    return presets[name]()


def with_overrides(
    config: Config, overrides: Mapping[str, Any], parsers: Mapping[str, Parser] | None = None
) -> Config:
    """A validated copy of `config` with the given dotted keys replaced.

    `parsers` turn what users give for a key, such as the name of a file, into what the configuration holds.
    Raises RequestError that names the key, what was expected and close matches.
    """
    document = config.model_dump(mode="python", round_trip=True)
    for key, value in overrides.items():
        parse = (parsers or {}).get(key)
        _place(document, config, key, parse(value) if parse else value)
    try:
        return type(config).model_validate(document)
    except ValidationError as error:
        raise RequestError(validation_message(error)) from error


def as_by_default(config: Config, keys: Iterable[str]) -> Config:
    """A copy in which these dotted keys, single knobs or whole sections, are as when nobody sets them.

    For a step that does not look at them: changing them does not run it again then.
    """
    unset = type(config)()
    return with_overrides(config, {key: attrgetter(key)(unset) for key in keys})


def configured(
    presets: Mapping[str, Callable[[], Config]],
    *,
    parsers: Mapping[str, Parser] | None = None,
    suiting: Callable[[str, str], Mapping[str, Any]] | None = None,
) -> Configure[Config]:
    """`configure(preset, source, overrides)` of a pipeline: the preset's configuration with single knobs changed.

    parsers: see `with_overrides`. suiting(source, preset): knobs that suit the source, under what the user sets.
    """

    def configure(preset: str, source: str, overrides: Mapping[str, Any]) -> Config:
        config = preset_config(presets, preset)
        suited = suiting(source, preset) if suiting else {}
        return with_overrides(config, {**suited, **overrides}, parsers)

    return configure


def validation_message(error: ValidationError) -> str:
    """What is wrong with the first field that failed, in one line."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    given = "" if first["type"] in ("missing", "value_error") else f" Received {first['input']!r:.120}."
    more = f" ({error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
    return f"{place + ': ' if place else ''}{first['msg'].rstrip('.')}.{given}{more}"


def _place(document: dict[str, Any], config: BaseModel, key: str, value: Any) -> None:
    *sections, name = key.split(".")
    here: Any = document
    model: Any = type(config)
    for section in sections:
        _require_field(model, section, key)
        if not isinstance(here[section], dict):
            raise RequestError(f"{key}: {section} has no fields to set. Give the whole of it: {section}=...")
        here, model = here[section], model.model_fields[section].annotation
    _require_field(model, name, key)
    here[name] = value


def _require_field(model: Any, name: str, key: str) -> None:
    if not (isinstance(model, type) and issubclass(model, BaseModel)) or name in model.model_fields:
        return
    close = difflib.get_close_matches(name, model.model_fields, n=3) or sorted(model.model_fields)
    raise RequestError(
        f"Expected a configuration key. Received {key}: no {name}. There are: {', '.join(close)}."
    )
