"""`fieldwork dashboard`: the pages in the browser, on this machine, or on others with a token."""

from __future__ import annotations

from typing import Annotated

import typer

from apps.cli.guard import Debug


def dashboard(
    pipeline: Annotated[str | None, typer.Argument(help="Open the page of this pipeline.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FIELDWORK_DASHBOARD_TOKEN", help="What every session is asked for, 16 characters or more."
        ),
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(min=1, max=2000, help="Largest file to upload, MB.")] = 200,
    debug: Debug = False,
) -> None:
    """Serve the dashboard until Ctrl-C."""
    from apps.cli.console import say
    from apps.dashboard.serve import Settings, serve
    from pipelines import catalogue

    page = None if pipeline is None else catalogue.find(pipeline).name
    settings = Settings(host=host, port=port, token=token or "", max_upload_mb=max_upload_mb)
    say(f"Dashboard on {settings.url(page)} (Ctrl-C ends it)")
    serve(settings)
