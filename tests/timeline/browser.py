"""Headless Chromium over its debugging pipe: pages from files, pixels, and what it complains of."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ANSWER_TIMEOUT_S = 60.0


class Browser:
    """One Chromium with one tab. It resolves no name and reaches no network."""

    def __init__(self) -> None:
        program = shutil.which("chromium")
        assert program, "chromium is not installed; `make pages` installs it"
        self._profile = tempfile.TemporaryDirectory(prefix="pages-")
        here_read, browser_write = os.pipe()
        browser_read, here_write = os.pipe()
        self._in, self._out = here_read, here_write

        def place_pipes() -> None:
            # --remote-debugging-pipe reads from descriptor 3 and writes to 4.
            reader, writer = os.dup(browser_read), os.dup(browser_write)
            os.dup2(reader, 3)
            os.dup2(writer, 4)

        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                # Root may not use the sandbox; what is shown are pages made here.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--force-device-scale-factor=1",
                "--hide-scrollbars",
                "--no-first-run",
                f"--user-data-dir={self._profile.name}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            preexec_fn=place_pipes,  # noqa: PLW1509 - no thread was started
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(browser_read)
        os.close(browser_write)
        self._buffer = bytearray()
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Security"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        raw, _, rest = bytes(self._buffer).partition(b"\0")
        self._buffer = bytearray(rest)
        message: dict[str, Any] = json.loads(raw)
        return message

    def open(self, path: Path, width: int, *, dark: bool = False, height: int = 900) -> Page:
        """Open a file at a width in CSS pixels, which are pixels here."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + ANSWER_TIMEOUT_S
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < end, f"{path} was not loaded within {ANSWER_TIMEOUT_S:g} s"
            self.call("Runtime.evaluate", expression="0")
        return Page(self)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()


class Page:
    """The page that is open."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        told = self._browser.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def boxes(self, selector: str) -> list[dict[str, float]]:
        """Left, top, width and height of each element, in pixels of the whole page."""
        found: list[dict[str, float]] = self.value(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(e => {{"
            "const b = e.getBoundingClientRect();"
            "return {left: b.left + scrollX, top: b.top + scrollY, width: b.width, height: b.height}})"
        )
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.value(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent.trim())"
        )
        return found

    def style(self, selector: str, name: str) -> str:
        """The computed style of the first such element."""
        return str(self.value(f"getComputedStyle(document.querySelector({json.dumps(selector)})).{name}"))

    def dom(self) -> str:
        return str(self.value("document.documentElement.outerHTML"))

    def picture(self, save: Path | None = None) -> NDArray[np.uint8]:
        """The whole page as (height, width, 3)."""
        size = self._browser.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self._browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        content = base64.b64decode(shot["data"])
        if save is not None:
            save.write_bytes(content)
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, and exceptions."""
        self.value("0")
        found = []
        for event in self._browser.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                found.append(json.dumps(params)[:500])
        return found

    def requests(self) -> list[str]:
        """What was asked for, the page itself included."""
        self.value("0")
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
