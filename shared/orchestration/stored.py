"""What the steps of every pipeline have alike: handles that they pass on, and stored folders read back."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shared.data.files import scratch_folder, sha256_file
from shared.data.home import home
from shared.data.store import Ref, default_store
from shared.publishing.summary import RunSummary

SYNTHETIC = "synthetic"
SUMMARY = "summary.json"


class Handle(BaseModel):
    """Base of what a step returns: small, frozen, JSON-able; data stay in the store behind `Ref`s."""

    model_config = ConfigDict(frozen=True)


class Source(Handle):
    """Where data come from, with the digest of their content: it decides whether earlier results hold.

    `name` is `synthetic`, the name of a public data set, or a path; the digest of generated data is empty, since
    configuration and code decide them.
    """

    name: str
    sha256: str

    @property
    def generated(self) -> bool:
        """Whether the data come from the generator, whose truth is known."""
        return self.name == SYNTHETIC


def identified(source: str, paths: Iterable[Path]) -> Source:
    """The source of this name with one digest of the names and contents of all files behind it, from the folder that
    they share; none for the generator.

    Names count: they can say whom a file is of, and which files belong together.
    """
    files = [path.absolute() for path in paths]
    if not files:
        return Source(name=source, sha256="")
    digest = hashlib.sha256()
    root = os.path.commonpath([path.parent for path in files])
    for path in files:
        # names are bytes to the system, and not all of them are UTF-8
        digest.update(os.fsencode(path.relative_to(root)) + f"\0{sha256_file(path)}\0".encode())
    return Source(name=source, sha256=digest.hexdigest())


class Evidence(Handle):
    """Numbers as a stored JSON document, with the table behind them."""

    document: Ref
    table: Ref


def stored_folder(write: Callable[[Path], object]) -> Ref:
    """What `write` puts into an empty folder, in the store; `restored` gives it back."""
    with scratch_folder(home().cache) as scratch:
        write(scratch)
        return default_store().put_tree(scratch)


@contextmanager
def restored(stored: Ref) -> Iterator[Path]:
    """A stored tree in a scratch folder of its own, which goes at the end of the block."""
    with scratch_folder(home().cache) as scratch:
        yield default_store().restore_tree(stored, scratch / "restored")


def read_summary(stored: Ref) -> RunSummary:
    """The summary that lies in a stored bundle."""
    with restored(stored) as folder:
        return RunSummary.model_validate_json((folder / SUMMARY).read_text(encoding="utf-8"))
