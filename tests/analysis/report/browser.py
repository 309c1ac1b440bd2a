"""A real browser that shows a page on a screen of some width and answers what a script asks of it."""

import json
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)

# A window may be no narrower than 500 pixels, a frame may be as narrow as a phone.
FRAME = """<!doctype html><meta charset="utf-8"><pre id="answer"></pre>
<iframe style="width: {width}px; height: 2000px; border: 0" srcdoc="{page}"></iframe>
<script>
onload = () => {{
  const view = document.querySelector("iframe").contentWindow, page = view.document;
  document.getElementById("answer").textContent = JSON.stringify(({script})(page, view));
}};
</script>
"""


def ask(page: str, width: int, script: str, folder: Path) -> Any:
    """Return what `script`, a JavaScript function of (document, window), returns on `page` at `width` CSS pixels."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, page=escape(page), script=script), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"]
    command = [str(PROGRAM), *options, f"--user-data-dir={folder / 'browser'}", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    answer = done.stdout.partition('<pre id="answer">')[2].partition("</pre>")[0]
    return json.loads(unescape(answer))
