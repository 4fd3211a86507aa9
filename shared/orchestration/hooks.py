"""Who is told when a scheduled run fails, a contract is broken or data drift: a webhook or a command.

The payload is one JSON object, see `Alert`. A hook that fails is reported and never fails the run.
"""

import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Event = Literal["failed", "contract", "drift"]
EVENTS: tuple[Event, ...] = ("failed", "contract", "drift")

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PAUSE_SECONDS = 2.0


class Hook(BaseModel):
    """One webhook or one command, with the events that it is for.

    A webhook is an address, or the name of an environment variable that holds it where the address is a secret.
    It gets the alert by POST; without `allow_http`, other machines only over https. A command is a list of
    arguments, started without a shell, with the alert on its standard input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: tuple[Event, ...] = Field(default=EVENTS, min_length=1)
    webhook: str | None = None
    webhook_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    token_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    command: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=1)
    allow_http: bool = False
    timeout_seconds: float = Field(default=10, gt=0, le=300)
    retries: int = Field(default=2, ge=0, le=10)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [each for each in (self.webhook, self.webhook_env, self.command) if each is not None]
        if len(given) != 1:
            raise ValueError("Expected one of webhook, webhook_env and command")
        if self.webhook is not None:
            require_allowed(self.webhook, allow_http=self.allow_http)
        return self

    @property
    def label(self) -> str:
        """The hook without what may be secret in its address."""
        if self.command is not None:
            return f"command {self.command[0]}"
        return f"webhook {self.webhook_env or urllib.parse.urlsplit(self.webhook or '').hostname}"


class Alert(BaseModel):
    """What a hook is told.

    event: `failed` (the run ended without its result), `contract` (data were refused), `drift` (scored data are no
    longer like those of training). deployment: `credit_scoring-score`. details: for `failed` the kind of the error;
    for `contract` and `drift` the item, the model's version, the record's place and the drifted columns.
    """

    model_config = ConfigDict(frozen=True)

    event: Event
    deployment: str
    pipeline: str
    message: str
    details: dict[str, Any] = {}
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


def notify(
    hooks: Sequence[Hook],
    alert: Alert,
    say: Callable[[str], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Tell every hook that is for this event; `say` gets a line for each that could not be told."""
    for hook in hooks:
        if alert.event not in hook.events:
            continue
        for left in range(hook.retries, -1, -1):
            problem = _tell(hook, alert)
            if problem is None:
                break
            if left == 0:
                say(f"hook: {hook.label} was not told of {alert.event} in {alert.deployment}: {problem}")
            else:
                pause(_PAUSE_SECONDS)


def require_allowed(url: str, *, allow_http: bool) -> None:
    """Raises ValueError for an address that is no web address, or would carry the alert in the clear."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Expected a webhook such as https://example.org/alerts")
    if parts.scheme == "http" and not allow_http and parts.hostname not in _LOOPBACK:
        raise ValueError(
            "Expected https for a webhook on another machine. Set allow_http: true to send in the clear"
        )


def _tell(hook: Hook, alert: Alert) -> str | None:
    """None when the hook has taken it, else what went wrong."""
    body = alert.model_dump_json().encode()
    try:
        return _run(hook, body) if hook.command is not None else _post(hook, body)
    except subprocess.TimeoutExpired:
        return f"no end within {hook.timeout_seconds:g} s"
    except (OSError, ValueError, LookupError) as error:
        return f"{type(error).__name__}: {error}"


def _run(hook: Hook, body: bytes) -> str | None:
    assert hook.command is not None
    ended = subprocess.run(hook.command, input=body, capture_output=True, timeout=hook.timeout_seconds)
    if ended.returncode == 0:
        return None
    words = ended.stderr.decode(errors="replace").strip().splitlines()
    return f"exit code {ended.returncode}{': ' + words[-1][:200] if words else ''}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An alert goes to the address in the file and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _post(hook: Hook, body: bytes) -> str | None:
    url = hook.webhook if hook.webhook is not None else os.environ[hook.webhook_env or ""]
    require_allowed(url, allow_http=hook.allow_http)
    headers = {"Content-Type": "application/json", "User-Agent": "fieldwork"}
    if hook.token_env is not None:
        headers["Authorization"] = f"Bearer {os.environ[hook.token_env]}"
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=hook.timeout_seconds):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
