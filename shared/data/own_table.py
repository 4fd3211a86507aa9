"""A source that is neither the generator nor a public set of the domain: the path of a user's own table."""

from pathlib import Path

from shared.data.public_sets import public_sets
from shared.errors import RequestError


def own_table_path(source: str, *, expected: str, known: str) -> Path:
    """The file that `source` names.

    expected: what its rows are, for example "card transactions"; known: the names of the domain's other sources, as a
    list in words. Raises RequestError for a data set of another domain, a folder, and a file that is not there.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if source in public_sets():
        raise RequestError(
            f"Expected a source of {expected}. Received {source}, a data set of another domain.\n"
            f"There are {known}, or the path of your own table."
        )
    raise RequestError(
        f"Expected {known} or the path of a table. Received {source!r}: "
        f"{'a folder' if path.is_dir() else 'there is no such file'}."
    )
