"""``advdiff report``: one whole page of every kind of result; nothing in a file becomes markup."""

from __future__ import annotations

import shutil
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from advdiff.core.errors import InputError
from advdiff.views import plots, report
from tests import browser
from tests.command_line import advdiff
from tests.sketches import coarse

pytestmark = pytest.mark.serial

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = """</code></pre><script src="http://example.org/x.js">alert(1)</script>&amp;"'"""

HEAD = """
[domain]
cells = [6, 6]
[physics]
diffusivity = 0.05
initial = "cos(pi*x)"
[time]
final = 0.4
outputs = 2
"""
EXPERIMENTS = {
    "solve": f'# {HOSTILE}\ntask = "solve"' + HEAD,
    "sensitivity": 'task = "sensitivity"'
    + HEAD
    + '[sensitivity.directions."<b>κ&amp;"]\ndiffusivity = 1.0\n',
    "invert": 'task = "invert"'
    + HEAD
    + '[observations]\nfile = "data.csv"\nstd = 0.01\n'
    + "[unknowns]\ndiffusivity = true\n[laplace]\nsamples = 0\n",
    "sample": 'task = "sample"'
    + HEAD
    + '[observations]\nfile = "data.csv"\nstd = 0.3\n[unknowns]\ndiffusivity = true\n'
    + "[sampler]\ndraws = 12\nwarmup = 4\nchains = 2\nsteps = 2\nstep_size = 0.05\n",
    "random-rates": 'task = "random-rates"\n[matexp]\ndimensions = [4, 6]\nreplicates = 3\n',
    "surrogate-error": 'task = "surrogate-error"\n[matexp]\ndimensions = [4]\nreplicates = 2\n'
    'times = [0.1, 1.0]\nlaws = ["exponential"]\ncertified = 1\n',
}
DATA = "x,y,t,value\n0.2,0.3,0.2,0.6\n0.7,0.6,0.2,-0.4\n0.2,0.3,0.4,0.5\n0.7,0.6,0.4,-0.3\n"


class Page(HTMLParser):
    """What is in a page; every tag that opens must close."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        """The attributes of every such tag."""
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        """All that is not markup."""
        return "".join(self.words)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Path]:
    """A small result of every task, made when it is asked for."""
    folder, made = tmp_path_factory.mktemp("results"), {}
    (folder / "data.csv").write_text(DATA)

    class Results(dict):
        def __missing__(self, task: str) -> Path:
            (folder / f"{task}.toml").write_text(EXPERIMENTS[task])
            done = advdiff(folder, "run", f"{task}.toml")
            assert done.code == 0, done.out + done.error
            made[task] = self[task] = folder / f"{task}.h5"
            return self[task]

    return Results()


def check(page: str, result: Path) -> Page:
    """It is one page for itself, with every picture of the result."""
    found = Page(page)
    assert page.startswith("<!DOCTYPE html>")
    addresses = [a[k] for _, a in found.tags for k in ("src", "href", "srcset", "data") if k in a]
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in addresses)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not any(name.startswith("on") for _, attrs in found.tags for name in attrs)
    assert "url(" not in page and "@import" not in page
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all(
        "meta"
    )
    with h5py.File(result) as file:
        names = [name.replace("_", " ") for name in plots.contents(file)]
        assert str(file.attrs["experiment"]) in found.text
        assert str(file.attrs["created_at"]) in found.text
    images = found.all("img")
    assert [image["alt"].split(": ")[0] for image in images] == names
    for image in images:
        assert len(image["alt"].split(": ", 1)[1]) > 10
        data = BytesIO(b64decode(image["src"].partition(",")[2]))
        assert Image.open(data).size == (int(image["width"]), int(image["height"]))
    targets = {attrs["id"] for _, attrs in found.tags if "id" in attrs}
    assert {a["href"][1:] for a in found.all("a")} <= targets
    return found


@pytest.mark.parametrize("task", EXPERIMENTS)
def test_every_task_has_a_page(task, results):
    with coarse():
        page = report.page(results[task])
    found = check(page, results[task])
    assert report.TITLES[task] in found.text
    if task == "invert":
        assert {"Estimate", "Solver (", "Laplace approximation", "History"} <= {
            title
            for title in ("Estimate", "Solver (", "Laplace approximation", "History")
            if title in found.text
        }
    if task == "sample":
        assert "Posterior of log diffusivity" in found.text and "R̂" in found.text


def test_names_of_the_lines_of_the_summary():
    assert report._named("mesh error  cells twice as large") == (
        "mesh error",
        "cells twice as large",
    )
    assert report._named("log_diffusivity R̂ up to 1.0") == ("log_diffusivity", "R̂ up to 1.0")
    assert report._named("            Monte Carlo error") == ("", "Monte Carlo error")


def test_nothing_of_the_file_is_markup(results, tmp_path):
    path = Path(shutil.copy(results["solve"], tmp_path / "<i>x.h5"))
    with h5py.File(path, "a") as file:
        if "warnings" in file:
            del file["warnings"]
        group = file.create_group("warnings")
        for name in ("key", "message"):
            group.create_dataset(name, data=[HOSTILE, "second"], dtype=h5py.string_dtype())
        group["value"] = [1.0, 2.0]
        file["solver"].attrs["notes"] = HOSTILE
    with coarse():
        page = report.page(path)
    found = check(page, path)
    assert found.text.count(HOSTILE) == 3  # the experiment, the warning, the solver's notes
    assert "2 warnings" in found.text and "<i>x" in found.text


def test_a_foreign_shape_is_named(results, tmp_path):
    path = Path(shutil.copy(results["solve"], tmp_path / "r.h5"))
    with h5py.File(path, "a") as file:
        del file["theta"]
        file["theta"] = 1.0
    with pytest.raises(InputError, match="not as advdiff writes it"):
        report.page(path)


def test_no_warnings_no_box(results):
    with coarse():
        page = report.page(results["solve"])
    assert "warnings" not in {attrs.get("class") for _, attrs in Page(page).tags}


def test_the_command(results, tmp_path):
    result = Path(shutil.copy(results["solve"], tmp_path / "r.h5"))
    done = advdiff(tmp_path, "report", "r.h5")
    assert (done.code, done.out) == (0, "r.html\n"), done.error
    check((tmp_path / "r.html").read_text(encoding="utf-8"), result)
    assert not list(tmp_path.glob(".*partial"))
    for arguments, words in (
        (("r.h5", "--output", "none/r.html"), "cannot be written"),
        (("r.h5", "--output", "r.h5"), "does not end in .html"),
        (("none.h5",), "no such file"),
    ):
        with coarse():
            done = advdiff(tmp_path, "report", *arguments)
        assert done.code == 2 and words in done.error and done.error.count("\n") == 1
    assert h5py.is_hdf5(result)


def test_a_long_history_is_thinned(tmp_path):
    with h5py.File(tmp_path / "h.h5", "w") as file:
        for name in ("iteration", "objective", "gradient_norm"):
            file[f"history/{name}"] = np.arange(500)
        table = next(iter(report.tables(file)))
    assert [row[0] for row in table.rows][:1] == [0] and table.rows[-1][0] == 499
    assert len(table.rows) == 60 and table.note == "60 of 500 iterations."


@pytest.mark.skipif(
    bool(browser.missing()), reason=f"no {', '.join(browser.missing())} on the PATH"
)
@pytest.mark.parametrize("window", browser.WINDOWS)
def test_in_a_browser(window, results, tmp_path):
    """It fits, shows its pictures, asks for nothing, and has a dark side."""
    page = report.write(results["invert"], tmp_path / "r.html")
    with browser.browser(*browser.WINDOWS[window]) as opened:
        opened.open(page)
        light = opened.look()
        opened.open(page, dark=True)
        dark = opened.look()
    assert light["width"] <= light["window"] == browser.WINDOWS[window][0]
    assert light["loaded"] == light["pictures"] > 3
    assert light["asked"] == [] and light["heading"] == "invert"
    assert light["smallest"] >= 12
    assert light["background"] != dark["background"]
