"""Names of authors become keyed digests before anything else sees them.

A plain digest of a name is no protection, because whoever has it can try all names. With a key that never leaves the
data home only this installation can, and one author has one digest in all of its tables.
"""

import hashlib
import os
import secrets
from pathlib import Path

import polars as pl

from shared.data.files import atomic_path, file_lock
from shared.data.home import home
from shared.data.identifiers import ids_as_text
from shared.errors import FieldworkError

_KEY_BYTES = 32
_DIGEST_BYTES = 16


def hashed_authors(authors: pl.Series) -> pl.Series:
    """Each author as 32 hexadecimal characters; nothing and blanks are null. `@Name` and `name` are one author.

    The first call makes the key of this installation. Raises FieldworkError where it cannot be made or read.
    """
    names = ids_as_text(authors).cast(pl.String).str.strip_chars(" \t@").str.to_lowercase()
    distinct = names.set(names == "", None).drop_nulls().unique()
    if not len(distinct):
        return pl.Series(authors.name, [None] * len(authors), dtype=pl.String)
    key = _key(home().root / "keys" / "authors.key")
    digests = [
        hashlib.blake2b(name.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest() for name in distinct
    ]
    return names.replace_strict(distinct, digests, default=None, return_dtype=pl.String).alias(authors.name)


def _key(path: Path) -> bytes:
    with file_lock(path.with_suffix(".lock")):
        if not path.is_file():
            with atomic_path(path) as temporary:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise FieldworkError(
            f"Expected a key of {_KEY_BYTES} bytes in {path}. Received {len(key)}: remove it, a new one is made."
        )
    return key
