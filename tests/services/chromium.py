"""A real Chromium, the system's own, driven by Playwright; and pages that are watched for what no page of ours may do.

Playwright's synchronous interface keeps an event loop in the thread of the tests: no other can run there meanwhile.
The fixture ``chromium`` therefore lives no longer than one module of tests.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

# The first is the same engine without windows, menus and pages of its own, which nobody sees here.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# A machine's /dev/shm may be too small for a page.
_ARGUMENTS = ("--disable-dev-shm-usage", "--no-proxy-server")
# Maps are drawn with WebGL, here by the processor. Without it, what moves on a page costs less of that.
_MAPS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--in-process-gpu")
_NO_MAPS = ("--disable-gpu",)
# A busy machine draws maps by its processor: what is waited for may take a while, and is not the worse for it.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
DESK = (1280, 800)
PHONE = (390, 844)


PICTURES = os.environ.get("QYRAN_TEST_PICTURES")
"""A folder: pages are photographed into it, for people to look at."""


def picture(page: Page, name: str) -> None:
    """Photograph a page, where somebody wants to look at it."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


def executable() -> str | None:
    """Path of the system's Chromium; None where there is none."""
    return next((found for found in map(shutil.which, _NAMES) if found), None)


def why_not() -> str | None:
    """Why no Chromium can be started here, or None."""
    return None if executable() else "Chromium is not installed: apt-get install chromium"


@contextmanager
def running(*, maps: bool = True) -> Iterator[Browser]:
    """A browser that is closed at the end. As root it runs without its sandbox: it opens only pages of ours.

    Parameters
    ----------
    maps
        Whether its pages draw with WebGL.
    """
    with sync_playwright() as playwright:
        arguments = [*_ARGUMENTS, *(_MAPS if maps else _NO_MAPS)]
        browser = playwright.chromium.launch(
            executable_path=executable(), args=arguments, chromium_sandbox=False, timeout=60_000
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What a page did that it should not have done."""

    origin: str
    """``http://host:port``: whatever is asked of another is a fault."""
    statuses: frozenset[int]
    """HTTP statuses that the test expects among the answers, such as 401."""
    faults: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Note what happens on a page from now on."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # A status that is no success is said on the console as well; answers are judged by themselves.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console {message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        found = urlsplit(request.url)
        if found.scheme not in ("data", "blob") and f"{found.scheme}://{found.netloc}" != self.origin:
            self.faults.append(f"asked {request.url}, which is not of {self.origin}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.statuses:
            self.faults.append(f"{response.status} for {response.request.method} {response.url}")


@contextmanager
def watched(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = DESK,
    statuses: frozenset[int] = frozenset(),
    **context: Any,
) -> Iterator[Page]:
    """A page in a context of its own. Fails at the end if it complained, asked elsewhere, or got an unexpected error.

    Parameters
    ----------
    origin
        ``http://host:port`` of the server; relative addresses are of it.
    size
        Width and height of the window.
    statuses
        HTTP statuses of 400 and more that the test brings about.
    context
        More options of Playwright's ``new_context``, such as ``locale`` or ``has_touch``. Maps do not glide unless
        ``reduced_motion`` says otherwise: each picture on the way is drawn by the processor.
    """
    watch = Watch(origin, statuses)
    options = {
        "base_url": origin, "viewport": {"width": size[0], "height": size[1]}, "locale": "en-GB",
        "reduced_motion": "reduce", **context,
    }  # fmt: skip
    held = browser.new_context(**options)
    try:
        held.on("page", watch.follow)
        page = held.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        assert not watch.faults, "\n".join(watch.faults)
    finally:
        held.close()
