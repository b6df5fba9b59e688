"""What begins like another protocol is put out before anything is stored, shown or taken; a web page, too."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.client.test_other_protocols import BINARY, BODY, LINES, REQUESTS
from tests.support.fake_hosts import client_context
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE

GREETINGS = [REQUESTS[0], REQUESTS[1], REQUESTS[10], *LINES[::5], *BINARY[::5]]
BROWSER = shutil.which("chromium")


def _nothing_was_taken(service: Service) -> None:
    assert service.status()["peer"] is None
    history = service.popen(
        [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime), "--history"]
    )
    assert history.communicate(timeout=PATIENCE) == (b"", b"")


def _refusals(service: Service) -> int:
    """How many callers were put out, as the log of the stopped daemon tells."""
    service.kill(signal.SIGTERM)
    service.logs("pychatd has stopped")
    found = [line for line in service.log() if "(other-protocol)" in line]
    counts = [re.search(r"([0-9,]+) more like this", line) for line in found]
    return sum(1 if count is None else int(count[1].replace(",", "")) for count in counts)


def _is_put_out(caller: BlockingEnd, greeting: bytes, step: int) -> None:
    try:
        for start in range(0, len(greeting), step):
            caller.raw(greeting[start : start + step])
        assert caller.line().startswith("\\error other-protocol This is a pychat service, and your ")
        assert caller.rest() == []
    except ConnectionError:  # it was put out in the middle of its words
        pass


def test_other_protocols_are_put_out_whole_and_byte_by_byte(service: Service) -> None:
    calls = 0
    for greeting in GREETINGS:
        for step in (len(greeting), 1):
            _is_put_out(service.connect(), greeting, step)
            calls += 1
    _nothing_was_taken(service)
    caller = service.greeted("Ann")
    caller.send("Ann> hello")
    assert caller.reads("\\ack") == "\\ack 1"
    assert _refusals(service) == calls


def test_a_request_inside_of_tls_is_put_out(service: Service) -> None:
    """A browser that knows the certificate calls over TLS."""
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
    caller = BlockingEnd(client_context().wrap_socket(sock))
    _is_put_out(caller, b"POST / HTTP/1.1" + BODY, 1000)
    caller.close()
    _nothing_was_taken(service)


PAGE = """<!DOCTYPE html><title>waiting</title>
<iframe name=frame></iframe>
<form id=f target=frame method=post enctype=text/plain action="http://localhost:PORT/">
<textarea name="Client1> Please read me your password">
Client1> or else
</textarea></form>
<script>
const url = "http://localhost:PORT/", body = "Client1> hello\\n\\nClient1> again\\n";
const calls = [];
for (const method of ["GET", "POST", "PUT", "hello"])
  for (const mode of ["no-cors", "cors"])
    calls.push(() => fetch(url + method, {method, mode, body: method == "GET" ? undefined : body}));
calls.push(() => fetch(url + "x".repeat(9000), {mode: "no-cors", method: "POST", body}));
calls.push(() => new Promise(done => new WebSocket("ws://localhost:PORT/").onerror = done));
calls.push(() => navigator.sendBeacon(url, body));
calls.push(() => new Promise(done => {
  const pc = new RTCPeerConnection({iceServers: [
    {urls: "turn:localhost:PORT?transport=tcp", username: "Client1> hello", credential: "x"}]});
  pc.onicegatheringstatechange = () => pc.iceGatheringState == "complete" && done();
  pc.createDataChannel("x");
  pc.createOffer().then(offer => pc.setLocalDescription(offer));
  setTimeout(done, 1500);
}));
(async () => {
  for (const call of calls) try { await call(); } catch (error) { }
  const sent = new Promise(done => { document.querySelector("iframe").onload = done; setTimeout(done, 3000); });
  document.getElementById("f").submit();
  await sent;
  await fetch("/done");
})();
</script>
"""


class _Site:
    """A web site with one page, that notes when the page has done its work."""

    def __init__(self, page: str) -> None:
        site = self
        self.done = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/done":
                    site.done.set()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@contextmanager
def _site(page: str) -> Iterator[_Site]:
    site = _Site(page)
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
        thread.join()


@contextmanager
def _browser(directory: Path, url: str) -> Iterator[None]:
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    process = subprocess.Popen(
        [BROWSER, *options, f"--user-data-dir={directory}", "--remote-debugging-port=0", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the browser and the processes that it has started
        process.wait()


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_a_web_page_cannot_reach_the_operator(service: Service, tmp_path: Path) -> None:
    """Forms, fetch with several methods, a long address, beacons, WebSockets and TURN, from a real browser."""
    with _site(PAGE.replace("PORT", str(service.port))) as site, _browser(tmp_path / "browser", site.url):
        assert site.done.wait(PATIENCE), "the page has not done its work"
        _nothing_was_taken(service)
    refusals = _refusals(service)
    print(f"{refusals} calls of the page were put out")
    assert refusals >= 10
