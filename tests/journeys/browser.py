"""The browser of the journeys: found on this machine, cut off from every other host."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-domain-reliability",
    "--disable-client-side-phishing-detection", "--metrics-recording-only", "--no-pings",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
]
NO_BROWSER = "no browser was found: install Chromium, or name one with CHROMIUM"


def executable() -> str | None:
    """A Chromium of this machine: CHROMIUM, then the PATH. None: Playwright may have its own."""
    named = os.environ.get("CHROMIUM")
    if named and Path(named).exists():
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)
