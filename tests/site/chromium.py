"""A headless Chromium, driven over its debugging pipe with nothing but the standard library.

The browser reads commands from file descriptor 3 and writes answers and events to 4, one JSON object each, ended by a
zero byte. No port is opened and no driver program is needed.

    with Browser("/usr/bin/chromium") as browser:
        page = browser.new_page(width=390, dark=True)
        page.open("http://127.0.0.1:8000/index.html")
        page.evaluate("document.title")
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    # Nothing but this machine can be reached, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
ANSWER_SECONDS = 60


class BrowserError(RuntimeError):
    """Chromium refused a command, stopped, or did not answer."""


class Browser:
    """One Chromium process with a fresh profile."""

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.profile = tempfile.mkdtemp(prefix="longsum-chromium-")
        self._answers: dict[int, queue.Queue] = {}
        self._pages: dict[str, Page] = {}
        self._last_id = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Browser:
        commands_out, self._commands = os.pipe()
        self._events, events_in = os.pipe()

        def connect() -> None:
            # Both ends may already be 3 or 4, so they are moved out of the way first.
            reading, writing = os.dup(commands_out), os.dup(events_in)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [self.executable, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            preexec_fn=connect,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_out)
        os.close(events_in)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrowserError):
            self.send("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._commands)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method: str, parameters: dict | None = None, session: str | None = None) -> dict:
        """Send one command and wait for its answer."""
        answer: queue.Queue = queue.Queue()
        with self._lock:
            self._last_id += 1
            number = self._last_id
            self._answers[number] = answer
            message = {"id": number, "method": method, "params": parameters or {}}
            if session:
                message["sessionId"] = session
            try:
                os.write(self._commands, json.dumps(message).encode() + b"\0")
            except BrokenPipeError as error:
                raise BrowserError("Chromium has stopped") from error
        try:
            reply = answer.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise BrowserError(f"no answer to {method} within {ANSWER_SECONDS} s") from None
        finally:
            self._answers.pop(number, None)
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def new_page(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Open an empty page of a given size; below 600 pixels it is a telephone with touch."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, context)
        self._pages[session] = page
        page.prepare(width, height, dark)
        return page

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(self._events, 1 << 16):
                *messages, rest = (rest + chunk).split(b"\0")
                for message in messages:
                    self._take(json.loads(message))
        os.close(self._events)
        for answer in list(self._answers.values()):
            answer.put({"error": {"message": "Chromium has stopped"}})

    def _take(self, message: dict) -> None:
        if "id" in message:
            if message["id"] in self._answers:
                self._answers[message["id"]].put(message)
        elif message.get("sessionId") in self._pages:
            self._pages[message["sessionId"]].take_event(message["method"], message["params"])


class Page:
    """One page, with a record of everything that went wrong on it.

    Attributes:
        errors: Console errors, uncaught exceptions, failed or refused requests, in words.
        requests: Addresses of all requests since the last `open`.
    """

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self.browser, self.session, self.context = browser, session, context
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = threading.Event()

    def send(self, method: str, **parameters: Any) -> dict:
        """Send one command to this page."""
        return self.browser.send(method, parameters, self.session)

    def prepare(self, width: int, height: int, dark: bool) -> None:
        """Turn on events and set size and colour scheme."""
        phone = width < 600
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Load an address and wait until scripts and formulas have settled."""
        self.errors.clear()
        self.requests.clear()
        self._loaded.clear()
        failure = self.send("Page.navigate", url=url).get("errorText")
        if failure:
            raise BrowserError(f"{url}: {failure}")
        if not self._loaded.wait(ANSWER_SECONDS):
            raise BrowserError(f"{url} did not finish loading within {ANSWER_SECONDS} s")
        self.evaluate(
            "window.MathJax?.startup?.promise?.then(() => 0) ?? 0",
            "new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))",
        )

    def evaluate(self, *expressions: str) -> Any:
        """Evaluate JavaScript, wait for a promise, return the last value."""
        value = None
        for expression in expressions:
            reply = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
            if "exceptionDetails" in reply:
                details = reply["exceptionDetails"]
                raise BrowserError(details.get("exception", {}).get("description", details["text"]))
            value = reply["result"].get("value")
        return value

    def wait_for(self, expression: str, seconds: float = 10) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise BrowserError(f"still false after {seconds} s: {expression}")
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button at a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, x: float, y: float) -> None:
        """Move the pointer to a point of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def tap(self, x: float, y: float) -> None:
        """Touch a point of the window."""
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key: str) -> None:
        """Press and release a key, for example `Tab` or `ArrowDown`."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes.get(key, 0))

    def screenshot(self, path: Path | str, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Close the page and forget its cookies and storage."""
        self.browser.send("Target.disposeBrowserContext", {"browserContextId": self.context})
        self.browser._pages.pop(self.session, None)

    def take_event(self, method: str, event: dict) -> None:
        """Record an event that the browser sent."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append("exception: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            words = [str(part.get("value", part.get("description"))) for part in event["args"]]
            self.errors.append("console.error: " + " ".join(words))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(f"log: {event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Network.loadingFailed" and not event.get("canceled"):
            self.errors.append(f"request failed: {event['errorText']}")
