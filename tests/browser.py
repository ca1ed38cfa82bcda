"""A page in a real browser, as on a phone and on a desk.

    python3 tests/browser.py PAGE.html [FOLDER]

Prints the width of the page beside that of the window, how many pictures have loaded and which
addresses were asked for; with a folder, writes screenshots into it.  Needs chromium and
chromedriver on the PATH, and Python alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

WINDOWS = {"phone": (390, 844), "desk": (1280, 900)}
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
LOOK = """
const root = document.documentElement, images = [...document.images];
await Promise.all(images.map(image => image.decode().catch(() => null)));
return {
  width: root.scrollWidth, window: window.innerWidth, height: root.scrollHeight,
  pictures: images.length, loaded: images.filter(image => image.naturalWidth > 0).length,
  asked: performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => !name.startsWith("data:")),
  heading: document.querySelector("h1").textContent,
  smallest: Math.min(...[...document.querySelectorAll("p, dd, td, pre, figcaption")]
    .map(element => parseFloat(getComputedStyle(element).fontSize))),
  background: getComputedStyle(document.body).backgroundColor,
};
"""


def missing() -> list[str]:
    """The programs that are not on the PATH."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """A session of a browser driver (W3C WebDriver)."""

    def __init__(self, address: str):
        self.address = address

    def post(self, path: str, **body):
        """The driver's answer to a command."""
        request = Request(
            f"{self.address}/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path, *, dark: bool = False) -> None:
        """Load a page."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tool("Emulation.setEmulatedMedia", features=scheme)
        self.post("url", url=page.resolve().as_uri())

    def look(self) -> dict:
        """How the page is laid out, and what it has loaded."""
        return self.post("execute/sync", script=f"return (async () => {{{LOOK}}})()", args=[])

    def tool(self, command: str, **parameters):
        """A command of the browser's own protocol."""
        return self.post("goog/cdp/execute", cmd=command, params=parameters)

    def picture(self, target: Path, *, whole: bool = False) -> None:
        """A screenshot of the window, or of the whole page."""
        found = self.tool("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        target.write_bytes(b64decode(found["data"]))


@contextmanager
def browser(width: int, height: int):
    """A browser with a window of so many pixels, without sound, sandbox or network chatter."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        try:
            line = next(line for line in driver.stdout if "started successfully" in line)
            port = line.split()[-1].rstrip(".")
            server = Browser(f"http://127.0.0.1:{port}")
            metrics = {"width": width, "height": height, "pixelRatio": 1, "touch": width < 600}
            options = {
                "args": [*OPTIONS, f"--user-data-dir={profile}"],
                "mobileEmulation": {"deviceMetrics": metrics},
            }
            capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
            session = server.post("session", capabilities=capabilities)["sessionId"]
            found = Browser(f"{server.address}/session/{session}")
            try:
                yield found
            finally:
                with urlopen(Request(found.address, method="DELETE"), timeout=60):
                    pass
        finally:
            driver.terminate()
            driver.wait(timeout=30)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    for name, size in WINDOWS.items():
        with browser(*size) as window:
            window.open(page)
            print(name, window.look())
            if len(sys.argv) > 2:
                folder = Path(sys.argv[2])
                window.picture(folder / f"{name}.png")
                window.picture(folder / f"{name}_whole.png", whole=True)
                window.open(page, dark=True)
                window.picture(folder / f"{name}_dark.png")
