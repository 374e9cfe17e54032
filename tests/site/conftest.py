"""The built site, made once for all tests of this folder, and a server and a browser to look at it with."""

import functools
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromium import Browser
from filelock import FileLock
from pages import Page, read_site

ROOT = Path(__file__).resolve().parents[2]
COLOUR = r"\x1b\[[0-9;]*m"


@dataclass(frozen=True)
class Build:
    """How a build of the book ended: exit code, folder of the HTML, and the warnings."""

    code: int
    html: Path
    warnings: str


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Build:
    """Build the book from nothing with every warning an error; the test processes share one build."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder, log = shared / "book", shared / "book.log"
    with FileLock(str(folder) + ".lock"):
        if not log.exists():
            command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT, "--path-output", folder]
            run = subprocess.run([*command, "-n", "-W", "--keep-going", "-q"], capture_output=True, text=True)
            log.write_text(f"{run.returncode}\n{re.sub(COLOUR, '', run.stderr)}")
    code, _, warnings = log.read_text().partition("\n")
    return Build(int(code), folder / "_build" / "html", warnings)


@pytest.fixture(scope="session")
def site(build: Build) -> Path:
    """Folder of the site's HTML."""
    if not (build.html / "search.html").exists():
        pytest.fail("the book was not built:\n" + build.warnings, pytrace=False)
    return build.html


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    """Every page of the site, parsed, by its path."""
    return read_site(site)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Address of the site on a server of this machine."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One running Chromium."""
    with Browser(chromium) as running:
        yield running
