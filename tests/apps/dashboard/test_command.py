"""The command: where it listens, what it refuses, and that nothing is left of it."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.apps.dashboard.served import ROOT, free_port, served


def run(*arguments):
    command = [sys.executable, "-m", "apps.cli.main", "dashboard", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "0.0.0.0"), "Expected a token with --host 0.0.0.0"),
        (("--token", "short"), "Expected a token of 16 characters or more"),
        (("credit-scorin",), "Did you mean credit_scoring"),
    ],
    ids=["open address", "short token", "unknown pipeline"],
)
def test_wrong_requests_are_one_plain_message(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_one_plain_message():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "Choose another --port" in result.stderr


def test_it_answers_on_the_loopback_interface_alone_and_leaves_nothing_behind(tmp_path):
    home = tmp_path / "home"
    with served(home) as url, urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
        port = int(url.rsplit(":", 1)[1].strip("/"))
        listening = addresses(port)
    assert listening == {"0100007F"}, "127.0.0.1 as the kernel writes it"
    assert not addresses(port)
    assert not [*home.glob("cache/dashboard/*")]


def addresses(port: int) -> set[str]:
    """Addresses on which somebody listens on this port, as /proc/net/tcp writes them."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    found = (row[1].split(":") for row in rows if row[3] == "0A")
    return {address for address, number in found if int(number, 16) == port}


def test_the_server_ends_with_the_command_even_by_force(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "apps.cli.main", "dashboard", "--port", str(port)]
    environment = os.environ | {"FIELDWORK_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert f":{port}/" in process.stdout.readline().decode()
        wait_until(lambda: addresses(port))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not addresses(port))


def wait_until(holds):
    import time

    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
