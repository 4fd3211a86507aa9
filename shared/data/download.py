"""Downloads that continue where they stopped, and archives that cannot write outside their folder.

A partial file waits beside the target as `<name>.part` with a note of what it is a part of; it is continued
only when the server proves (ETag or Last-Modified, through If-Range) that the file is still the same.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from shared.data.files import atomic_path, atomic_write, file_lock, sha256_file
from shared.errors import FieldworkError, RequestError

# Bytes so far, and in all where the server says so.
Progress = Callable[[int, int | None], None]

LIMIT_BYTES = 8 << 30
_CHUNK_BYTES = 1 << 18
_NUM_ATTEMPTS = 5
_TIMEOUT_SECONDS = 30.0
# Worth another attempt: the server or the line was busy. Any other 4xx is an answer.
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}


class _Interrupted(Exception):
    """This attempt failed; the next one may succeed."""


@dataclass(slots=True)
class _Part:
    """The partial file, and the validator of the version it belongs to."""

    path: Path
    note: Path
    url: str

    def resume_at(self) -> tuple[int, str | None]:
        """Bytes on disk and their validator; (0, None) when they cannot be trusted."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text())
            if note["url"] == self.url and isinstance(note["validator"], str):
                return self.path.stat().st_size, note["validator"]
        return 0, None

    def begin(self, validator: str | None) -> None:
        self.remove()
        atomic_write(self.note, json.dumps({"url": self.url, "validator": validator}))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    limit_bytes: int = LIMIT_BYTES,
    pause_seconds: float = 1.0,
) -> str:
    """Fetch a file and return its SHA-256; a target that has the wanted digest already is left alone.

    Continues an interrupted download, also one of an earlier process; tries again, pausing twice as long each
    time from `pause_seconds`. The target appears only when it is complete and its digest is right. Raises
    RequestError for an address that is not http(s) or does not exist, FieldworkError for everything else.
    """
    target = Path(target)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise RequestError(f"Expected an http or https address. Received {url}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json"), url)
    with file_lock(target.with_name(f".{target.name}.lock")):
        if sha256 and target.is_file() and sha256_file(target) == sha256:
            return sha256
        _fetch_with_retries(part, progress, limit_bytes, pause_seconds)
        digest = sha256_file(part.path)
        if sha256 and digest != sha256:
            part.remove()
            raise FieldworkError(
                f"Expected {url} to have the SHA-256 {sha256}. Received {digest}: the file changed at its "
                "source or on the way. It was not kept; compare with the publisher before you trust it."
            )
        with atomic_path(target) as temporary:
            part.path.rename(temporary)
        part.remove()
    return digest


def _fetch_with_retries(
    part: _Part, progress: Progress | None, limit_bytes: int, pause_seconds: float
) -> None:
    for attempt in range(1, _NUM_ATTEMPTS + 1):
        try:
            _fetch_once(part, progress, limit_bytes)
            return
        except _Interrupted as interruption:
            reason = str(interruption)
        if attempt < _NUM_ATTEMPTS:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
    kept = part.path.stat().st_size if part.path.exists() else 0
    raise FieldworkError(
        f"Cannot download {part.url} ({_NUM_ATTEMPTS} attempts; the last: {reason}). "
        f"Run the same command again to continue after {kept:,} bytes."
    )


def _fetch_once(part: _Part, progress: Progress | None, limit_bytes: int) -> None:
    done, validator = part.resume_at()
    # Identity: a compressed transfer would make byte ranges and sizes mean something else.
    headers = {"User-Agent": "fieldwork", "Accept-Encoding": "identity"}
    if done and validator:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    try:
        request = urllib.request.Request(part.url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            _receive(response, part, done, progress, limit_bytes)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # The part is as long as the file, or longer: it cannot be told which, so start afresh.
            part.remove()
            raise _Interrupted("the server refused to continue") from error
        if error.code in _TRANSIENT_STATUS:
            raise _Interrupted(f"HTTP {error.code} {error.reason}") from error
        raise RequestError(
            f"Cannot download {part.url}: HTTP {error.code} {error.reason}. Check the address."
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _Interrupted(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _receive(
    response: http.client.HTTPResponse, part: _Part, done: int, progress: Progress | None, limit_bytes: int
) -> None:
    if response.status == 206:
        first, total = _content_range(response.headers)
        if first != done:
            part.remove()
            raise _Interrupted("the server continued at another place")
    else:
        # The server ignores ranges, or the file is another one now.
        length = response.headers.get("Content-Length", "")
        done, total = 0, int(length) if length.isdigit() else None
        part.begin(_validator(response.headers))
    if total is not None and total > limit_bytes:
        part.remove()
        raise FieldworkError(f"Expected at most {limit_bytes:,} bytes. Received {part.url} with {total:,}.")
    with open(part.path, "ab") as file:
        while chunk := response.read(_CHUNK_BYTES):
            done += len(chunk)
            if done > limit_bytes:
                part.remove()
                raise FieldworkError(
                    f"Expected at most {limit_bytes:,} bytes. {part.url} sends more: not kept."
                )
            file.write(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done:,} of {total:,} bytes")


def _validator(headers: Message) -> str | None:
    """What If-Range may be asked with: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _content_range(headers: Message) -> tuple[int, int | None]:
    """First byte and total of `Content-Range: bytes 5-9/10`; (-1, None) where it makes no sense."""
    unit, _, rest = headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit():
        return -1, None
    return int(first), int(total) if total.isdigit() else None
