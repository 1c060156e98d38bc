"""The page of a run or a comparison: whole, escaped, and without a reference to anything outside."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtl.cli.main import main
from mtl.evaluation.tables.html_page import write_page_of_comparison, write_page_of_run
from mtl.evaluation.tables.results_of_run import costs, metrics_by_part

RESULTS = {
    "test/boxes/map": 0.5,
    "test/boxes/map/cat": 0.25,
    "test/loss/boxes": 1.5,
    "test/score": 0.75,
    "meta": {
        "experiment": "digits",
        "name": "<script>alert(1)</script>",
        "steps": 200,
        "train_seconds": 10.0,
        "peak_memory_mb": 900.4,
        "num_parameters": 12345,
        "tasks": {"boxes": {"monitor": "map", "lower_is_better": []}},
    },
}


class Page(HTMLParser):
    """Tags, references and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "poster")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs/digits/one"
    for name in ("pictures", "explanation", "export"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text("model:\n  heads: {'<b>bold</b>': x}\n  link: http://example.org/a.png\n")
    (folder / "command.txt").write_text("python -m mtl fit --config a.yaml\n")
    (folder / "results.json").write_text(json.dumps(RESULTS))
    for path in ("pictures/curves.png", "pictures/predictions.png", "explanation/ProjectOut.png"):
        Image.new("RGB", (8, 8), (200, 30, 30)).save(folder / path)
    (folder / "explanation/ProjectOut.csv").write_text("level,from,to,value\nstage 1,a,b,0.125\n")
    times = {name: {"p50_ms": value, "p95_ms": 2.0, "x_first": 1.0} for name, value in (("eager", 2.0), ("onnx", 0.5))}
    export = {"files": {"onnx": {"bytes": 1234, "parity": {"largest_difference": 1e-6}}}, "latency": {"1": times}}
    (folder / "export/export.json").write_text(json.dumps(export))
    return folder


def test_a_page_holds_the_run_and_refers_to_nothing_outside(run: Path) -> None:
    assert main(["report", "--run", str(run)]) == 0
    text = (run / "report.html").read_text("utf-8")
    page = Page(text)
    titles = ["Results", "Cost", "Curves", "Pictures", "What the tasks share", "Exported files", "Command", "Config"]
    assert [text for text in page.texts if text in titles] == titles
    for cell in ("0.5000", "50.0", "900", "12,345", "0.125", "1,234", "0.50 (1.00 x)"):
        assert cell in page.texts, cell
    assert len(page.references) == 3
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert not {"script", "b", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_a_run_that_was_stopped_has_a_page_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1\n")
    (tmp_path / "results.json").write_text("[]")
    page = Page(write_page_of_run(tmp_path).read_text("utf-8"))
    assert "Config" in page.texts
    assert "Results" not in page.texts
    with pytest.raises(FileNotFoundError, match="no config.yaml; --run takes the folder of a run"):
        write_page_of_run(tmp_path / "nothing")


def test_a_comparison_has_its_table_costs_and_pictures(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path / "compare/Equal/seed0")
    Image.new("RGB", (8, 8)).save(tmp_path / "compare/tasks.png")
    page = Page(write_page_of_comparison(tmp_path / "compare", ["row", "x"], [["<i>", "1.0"]], "x: a < b").read_text())
    assert {"<i>", "1.0", "x: a < b", "Equal seed0", "50.0"} <= set(page.texts)
    assert "i" not in page.tags
    assert len(page.references) == 1


def test_a_link_to_a_file_elsewhere_is_not_read(run: Path, tmp_path: Path) -> None:
    (run / "pictures/curves.png").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (run / "pictures/curves.png").symlink_to(tmp_path / "secret.png")
    text = write_page_of_run(run).read_text("utf-8")
    assert "curves.png cannot be shown" in text


def test_metrics_are_told_from_those_of_classes_and_costs_from_nothing() -> None:
    assert metrics_by_part(RESULTS) == [
        ("test: boxes", [("map", "0.5000"), ("loss", "1.5000")], [("map/cat", "0.2500")]),
        ("test", [("score", "0.7500")], []),
    ]
    assert [cell for _, cell in costs({"steps": 0, "train_seconds": "much"})] == ["0", "", "", "", ""]


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# what the page itself forbids: a script, which reports to the document what the browser made of the page
PROBE = """<pre id="probe"></pre><script>
const told = {refused: [], errors: []};
addEventListener('securitypolicyviolation', event => told.refused.push(event.blockedURI));
addEventListener('error', event => told.errors.push(event.target.alt || event.message), true);
addEventListener('load', () => {
  told.pictures = [...document.images].map(one => [one.alt, one.naturalWidth, one.naturalHeight]);
  told.fetched = performance.getEntriesByType('resource').map(one => one.name);
  told.fetched = told.fetched.filter(name => !name.startsWith("data:"));
  told.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  told.text = document.body.innerText;
  document.getElementById('probe').textContent = 'found:' + btoa(unescape(encodeURIComponent(JSON.stringify(told))));
});
</script>"""


def browsed(page: Path, folder: Path) -> dict[str, Any]:
    """What a browser says of a page; skips the test where none is installed."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"there is no browser: {', '.join(BROWSERS)}")
    text = page.read_text("utf-8").replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    head, body, rest = text.partition("<body>")
    (folder / "probed.html").write_text(head + body + PROBE + rest, "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1000,800", "--enable-logging=stderr"]
    words = [browser, *flags, "--virtual-time-budget=3000", "--dump-dom", (folder / "probed.html").as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    answer = re.search(r"found:([A-Za-z0-9+/=]+)", done.stdout)
    assert answer is not None, done.stderr
    told: dict[str, Any] = json.loads(base64.b64decode(answer.group(1)))
    return told | {"console": [line for line in done.stderr.splitlines() if "CONSOLE" in line]}


def test_a_browser_shows_the_page_and_fetches_nothing(run: Path, tmp_path: Path) -> None:
    told = browsed(write_page_of_run(run), tmp_path)
    assert {key: told[key] for key in ("refused", "errors", "fetched", "console")} == {
        "refused": [], "errors": [], "fetched": [], "console": [],
    }  # fmt: skip
    assert told["wider"] <= 0, "nothing is cut off at the side"
    assert told["pictures"] == [["curves", 8, 8], ["predictions", 8, 8], ["ProjectOut", 8, 8]]
    for cell in ("0.5000", "12,345", "1,234", "What the tasks share", "<script>alert(1)</script>"):
        assert cell in told["text"], cell
    broken = (run / "report.html").read_text("utf-8")
    broken = re.sub(r"base64,[^\"]{8}", "base64,AAAAAAAA", broken, count=1)  # and what it may not have
    (run / "broken.html").write_text(broken.replace("</body>", '<img src="http://outside.invalid/a.png"></body>'))
    told = browsed(run / "broken.html", tmp_path)
    assert told["refused"] == ["http://outside.invalid/a.png"]
    assert told["pictures"][0] == ["curves", 0, 0]
    assert told["console"]
