"""The server of the dashboard: a process of its own, with every option set that matters for safety."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from shared.errors import FieldworkError, RequestError
from shared.orchestration.server import configure, end_with_parent

APP = Path(__file__).with_name("app.py")
TOKEN_VARIABLE = "FIELDWORK_DASHBOARD_TOKEN"
SHORTEST_TOKEN = 16
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the dashboard listens and who may see it. Raises RequestError for an address that needs a token."""

    host: str = "127.0.0.1"
    port: int = 8501
    token: str = ""
    max_upload_mb: int = 200

    def __post_init__(self) -> None:
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise RequestError(
                f"Expected a token of {SHORTEST_TOKEN} characters or more. Received {len(self.token)}. "
                "Make one with `openssl rand -hex 16`."
            )
        if not self.local and not self.token:
            raise RequestError(
                f"Expected a token with --host {self.host}, which other machines reach. "
                "Give --token, for example $(openssl rand -hex 16)."
            )

    @property
    def local(self) -> bool:
        """Whether no other machine reaches the address."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, page: str | None = None) -> str:
        """What to open in the browser."""
        everywhere = self.host in ("0.0.0.0", "::")
        name = socket.gethostname() if everywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/{page or ''}"

    def options(self) -> dict[str, str]:
        """Streamlit's options; none is left to a configuration file of the user or of the folder."""
        return {
            "server.address": self.host,
            "server.port": str(self.port),
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "server.runOnSave": "false",
            "server.maxUploadSize": str(self.max_upload_mb),
            "server.enableCORS": "true",
            "server.enableXsrfProtection": "true",
            "server.enableStaticServing": "false",
            "server.enableAgentApi": "false",
            "browser.gatherUsageStats": "false",
            "client.showErrorDetails": "none",
            "client.toolbarMode": "viewer",
            "runner.magicEnabled": "false",
            "logger.enableRich": "false",  # it writes to the standard output, which nobody reads
            "theme.light.primaryColor": "#1f5f99",
            "theme.dark.primaryColor": "#7db6ea",
        }

    def hosts(self) -> tuple[str, ...]:
        """Names that are answered; all where others are served. A foreign page whose name points here gets nothing."""
        return ("localhost", "127.0.0.1", "[::1]") if self.local else ("*",)


def command(settings: Settings) -> list[str]:
    """The server as a process; the token is in its environment, where other users do not see it."""
    options = [part for name, value in settings.options().items() for part in (f"--{name}", value)]
    options += [part for host in settings.hosts() for part in ("--server.allowedHosts", host)]
    return [sys.executable, "-m", "apps.dashboard", "run", str(APP), *options]


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises RequestError where the port is taken, FieldworkError when it fails."""
    _require_free(settings)
    configure()
    environment = os.environ | {TOKEN_VARIABLE: settings.token}
    server = subprocess.Popen(
        command(settings), env=environment, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent
    )
    with _ended(server), contextlib.suppress(KeyboardInterrupt):
        raise FieldworkError(f"The server of the dashboard ended with exit code {server.wait()}.")


def _require_free(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise RequestError(
                f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
                "Choose another --port or --host."
            ) from error


@contextlib.contextmanager
def _ended(server: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
