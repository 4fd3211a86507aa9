"""What a fleet's table holds: which columns are settings, which are sensors, and how its files are read."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.contract import Contract, load
from shared.contracts.properties import Property

CONTRACT = "machine_sensor_readings"
# Columns that the contract itself names; everything else is a setting or a sensor.
COLUMNS = ("unit_id", "time", "taken_at", "failed", "part")
Role = Literal["setting", "sensor"]


class Channel(BaseModel):
    """One setting (how the machine is run) or sensor (how it responds)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="column name in the contract's table")
    role: Role = "sensor"
    unit: str = Field("", description="unit of the values, for example degC; empty: not stated")
    label: str = Field("", description="name in plain words, used in figures")

    @property
    def title(self) -> str:
        """The name that people read."""
        return self.label or self.name


class ReadingsSchema(BaseModel):
    """The fleet's part of the contract; travels in the bundle so that scoring reads and checks the same columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="short name of the table, for example cmapss_FD001")
    channels: tuple[Channel, ...] = Field(min_length=1, description="settings first, then sensors")
    time_unit: str = Field("cycles", description="what `time` counts")
    has_moments: bool = Field(False, description="`time` comes as moments and becomes hours")
    usual_cap: float | None = Field(
        None,
        gt=0,
        description="up to which remaining life results on a public set are usually reported, time units",
    )
    columns: Mapping[str, str] = Field(
        default_factory=dict, description="contract name -> column in the fleet's own files"
    )
    names: tuple[str, ...] = Field((), description="column names of blank-separated files without a header")

    def names_of(self, role: Role) -> tuple[str, ...]:
        """The channels of one role, in their order."""
        return tuple(channel.name for channel in self.channels if channel.role == role)

    def contract(self) -> Contract:
        """The contract `machine_sensor_readings` with this fleet's settings and sensors."""
        readable = any(letter.isascii() and letter.isalnum() for letter in self.name)
        properties = [
            Property(
                name=channel.name,
                logical_type="number",
                unit=channel.unit,
                description=f"{channel.title} ({channel.role})",
            )
            for channel in self.channels
        ]
        return load(CONTRACT).extended(properties, suffix=self.name if readable else "own-table")
