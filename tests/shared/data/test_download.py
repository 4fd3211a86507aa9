import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from shared.data.download import download
from shared.errors import FieldworkError, RequestError

CONTENT = np.random.default_rng(0).bytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does. `cuts`: after how many bytes it drops the connection, for each request."""

    content: bytes = CONTENT
    etag: str | None = '"v1"'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    honours_range: bool = True
    states_length: bool = True
    wrong_range: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def do_GET(self) -> None:
        behaviour = self.behaviour
        behaviour.requests.append(dict(self.headers))
        self.close_connection = True
        if behaviour.statuses and (status := behaviour.statuses.pop(0)) != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self.start_byte()
        if start >= len(behaviour.content) > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = behaviour.content[start:]
        self.send_response(206 if start else 200)
        if start:
            first = 1 if behaviour.wrong_range else start
            self.send_header(
                "Content-Range", f"bytes {first}-{len(behaviour.content) - 1}/{len(behaviour.content)}"
            )
        if behaviour.states_length:
            self.send_header("Content-Length", str(len(body)))
        if behaviour.etag:
            self.send_header("ETag", behaviour.etag)
        self.end_headers()
        self.wfile.write(body[: behaviour.cuts.pop(0)] if behaviour.cuts else body)

    def start_byte(self) -> int:
        wanted = self.headers.get("Range", "")
        same = self.headers.get("If-Range") == self.behaviour.etag
        return int(wanted[6:-1]) if wanted and self.behaviour.honours_range and same else 0

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    handler = type("OneHandler", (Handler,), {"behaviour": Behaviour()})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.behaviour.url = f"http://127.0.0.1:{httpd.server_port}/data.bin"
    yield handler.behaviour
    httpd.shutdown()
    thread.join(10)
    httpd.server_close()


def fetch(server: Behaviour, folder, **options) -> str:
    return download(server.url, folder / "data.bin", pause_seconds=0, **options)


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".data.bin.lock"}


def test_download_returns_the_digest_and_leaves_only_the_target(server, tmp_path):
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert names(tmp_path) == {"data.bin"}


def test_target_with_the_right_digest_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path, sha256=SHA256)
    fetch(server, tmp_path, sha256=SHA256)
    assert len(server.requests) == 1


def test_connection_cut_midway_is_continued_not_repeated(server, tmp_path):
    server.cuts = [700_000, 300_000]
    seen = []
    assert (
        fetch(server, tmp_path, sha256=SHA256, progress=lambda done, total: seen.append((done, total)))
        == SHA256
    )
    assert [request.get("Range") for request in server.requests] == [None, "bytes=700000-", "bytes=1000000-"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_later_process_continues_after_all_attempts_failed(server, tmp_path):
    server.cuts = [100_000] * 5
    with pytest.raises(FieldworkError, match="continue after 500,000 bytes"):
        fetch(server, tmp_path)
    assert not (tmp_path / "data.bin").exists()
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256
    assert server.requests[-1]["Range"] == "bytes=500000-"


def test_server_that_ignores_ranges_is_read_from_the_start(server, tmp_path):
    server.cuts, server.honours_range = [700_000], False
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256


def test_file_that_changed_in_between_is_never_mixed(server, tmp_path):
    server.cuts = [700_000] * 5
    server.honours_range = False
    with pytest.raises(FieldworkError):
        fetch(server, tmp_path)
    server.content, server.etag, server.honours_range, server.cuts = CONTENT[::-1], '"v2"', True, []
    assert fetch(server, tmp_path) == hashlib.sha256(CONTENT[::-1]).hexdigest()


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_continued(server, tmp_path, etag):
    server.cuts, server.etag = [700_000], etag
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256
    assert not any("Range" in request for request in server.requests)


def test_server_that_continues_at_the_wrong_place_is_not_believed(server, tmp_path):
    server.cuts, server.wrong_range = [700_000], True
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256


def test_part_as_long_as_the_file_starts_afresh(server, tmp_path):
    server.cuts = [700_000] * 1
    server.statuses = [200, 503, 503, 503, 503]
    with pytest.raises(FieldworkError, match="HTTP 503"):
        fetch(server, tmp_path)
    with open(tmp_path / "data.bin.part", "ab") as file:
        file.write(bytes(len(CONTENT) - 700_000))
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256


def test_part_of_another_address_is_not_continued(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "data.bin.part.json").write_text('{"url": "http://other/data.bin", "validator": "\\"v1\\""}')
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', '{"url": "x", "validator": null}'])
def test_damaged_note_of_a_part_is_ignored(server, tmp_path, note):
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "data.bin.part.json").write_text(note)
    assert fetch(server, tmp_path, sha256=SHA256) == SHA256


def test_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert fetch(server, tmp_path) == SHA256
    assert len(server.requests) == 4


def test_missing_file_is_a_wrong_request_and_not_retried(server, tmp_path):
    server.statuses = [404] * 5
    with pytest.raises(RequestError, match="HTTP 404"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == set()


def test_wrong_digest_is_refused_and_nothing_is_kept(server, tmp_path):
    with pytest.raises(FieldworkError, match=f"Expected .* {'0' * 64}. Received {SHA256}"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert names(tmp_path) == set()


def test_wrong_digest_does_not_harm_an_older_target(server, tmp_path):
    (tmp_path / "data.bin").write_text("old")
    with pytest.raises(FieldworkError):
        fetch(server, tmp_path, sha256="0" * 64)
    assert (tmp_path / "data.bin").read_text() == "old"


@pytest.mark.parametrize("states_length", [True, False])
def test_file_over_the_limit_is_refused_announced_or_not(server, tmp_path, states_length):
    server.states_length = states_length
    with pytest.raises(FieldworkError, match="at most 1,000,000 bytes"):
        fetch(server, tmp_path, limit_bytes=1_000_000)
    assert names(tmp_path) == set()


def test_empty_file_is_a_file(server, tmp_path):
    server.content = b""
    assert fetch(server, tmp_path) == hashlib.sha256(b"").hexdigest()


def test_server_that_is_not_there_is_explained(tmp_path):
    with pytest.raises(FieldworkError, match=r"5 attempts; the last: .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", pause_seconds=0)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "/etc/passwd", "data:,x"])
def test_only_web_addresses_are_fetched(tmp_path, url):
    with pytest.raises(RequestError, match="http or https"):
        download(url, tmp_path / "x")


def test_redirect_cannot_leave_the_web(server, tmp_path, monkeypatch):
    def redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/passwd")
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(Handler, "do_GET", redirect)
    with pytest.raises(FieldworkError):
        fetch(server, tmp_path)
    assert names(tmp_path) == set()


def test_two_downloads_of_one_target_do_not_mix(server, tmp_path):
    results = Counter()
    threads = [
        threading.Thread(target=lambda: results.update([fetch(server, tmp_path, sha256=SHA256)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {SHA256: 4}
    assert len(server.requests) == 1
