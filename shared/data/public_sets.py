"""The catalogue of public data sets, read from `public_sets.yaml`. `shared.data.datasets` acts on it."""

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Source(BaseModel):
    """One download of a public set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https://", description="Address at the publisher.")
    file_name: str = Field(description="Name of the download; without `members` also its place in the set.")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="Digest of the download.")
    members: dict[str, str] = Field(
        default_factory=dict,
        description="Archive members by pattern, and their place (`*` the file's name, `?` its stem).",
    )
    inner_archive: str | None = Field(
        default=None, description="Pattern of the one archive inside the archive that holds the members."
    )
    header: str | None = Field(default=None, description="Column names that replace the first line.")


class PublicSet(BaseModel):
    """One public data set: what it is, by which files a copy is known, and how to get it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    domain: str
    licence: str = Field(description="Terms of use, as the publisher states them.")
    citation: str
    page: str = Field(description="Where the publisher describes it.")
    note: str = Field(default="", description="What a user should know about this form of the data.")
    by_hand: str = Field(default="", description="Without sources: how to get it, and why it is not fetched.")
    forms: tuple[tuple[str, ...], ...] = Field(
        min_length=1, description="File patterns by which a copy is known; the fetched form first."
    )
    sha256: dict[str, str] = Field(default_factory=dict, description="Digests of files of the fetched form.")
    sources: tuple[Source, ...] = ()


@cache
def public_sets() -> dict[str, PublicSet]:
    """All sets by name, in the order of the file."""
    import yaml

    entries = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {name: PublicSet(name=name, **entry) for name, entry in entries.items()}
