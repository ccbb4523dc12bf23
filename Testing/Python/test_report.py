"""``gliomaseg report``: one page that holds everything and names nobody."""

from __future__ import annotations

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from GliomaSegLib import reporting
from GliomaSegLib.cli import main
from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.outcome.measures import measure
from GliomaSegLib.outcome.report import report_html
from GliomaSegLib.result import read_result


@pytest.fixture(scope="module")
def result(tiny_study: dict[str, Path], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("report") / "result"
    volumes = [word for role, path in tiny_study.items() for word in (f"--{role}", str(path))]
    options = ["--model", str(tiny_model), "--device", "cpu", "--progress", "none", "--brain-mask", "off"]
    assert main(["segment", *volumes, *options, "--output", str(output)]) == 0
    return output


def report(result: Path, study: dict[str, Path], page: Path, *more: str) -> int:
    volumes = [word for role, path in study.items() for word in (f"--{role}", str(path))]
    pdf = [] if "--pdf" in more else ["--no-pdf"]
    return main(["report", "--result", str(result), *volumes, "--output", str(page), *pdf, *more])


class Strict(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_self_contained(
    result: Path, tiny_study: dict[str, Path], tmp_path: Path
) -> None:
    assert report(result, tiny_study, tmp_path / "page.html", "--title", "Case <7>") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    assert "<h1>Case &lt;7&gt;</h1>" in page and "Not a medical device" in page
    assert not re.search(r'(src|href)="(?!data:)', page) and "http" not in page
    stored = read_result(result)
    pictures = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    present = [s for s in STRUCTURES if (stored.labels == s.number).any()]
    assert len(pictures) == len(present) > 0
    for structure, data in zip(present, pictures, strict=True):
        colours = np.asarray(Image.open(io.BytesIO(data))).reshape(-1, 3)
        assert (colours == structure.colour).all(axis=1).sum() > 20  # its contour is there
    for row in stored.measures["structures"].values():
        assert f"{row['volume_ml']:.2f} ml" in page
    assert stored.run["model"]["sha256"][:16] in page
    for path in tiny_study.values():
        assert path.name not in page and str(path.parent) not in page


def test_pictures_of_another_exam_are_refused(
    result: Path, tiny_study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = sitk.ReadImage(str(tiny_study["flair"])) + 1
    sitk.WriteImage(image, str(tmp_path / "other.nii.gz"))
    wrong = {**tiny_study, "flair": tmp_path / "other.nii.gz"}
    assert report(result, wrong, tmp_path / "page.html") == 3
    assert "is not the FLAIR that result was made on" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_an_existing_page_stays_unless_told(result: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    words = ["report", "--result", str(result), "--output", str(page), "--no-pdf"]
    assert main(words) == 2
    assert page.read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0
    assert "<img" not in page.read_text()  # no volumes given, no pictures


def test_the_run_itself_writes_the_page(result: Path, tiny_study: dict[str, Path], tmp_path: Path) -> None:
    own = (result / "report.html").read_text(encoding="utf-8")
    assert report(result, tiny_study, tmp_path / "page.html") == 0
    again = (tmp_path / "page.html").read_text(encoding="utf-8")
    # Made from the aligned study in memory, and from the files: the same pictures, the same numbers.
    assert own == again


def test_identity_needs_dicom(
    result: Path, tiny_study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert report(result, tiny_study, page, "--keep-identity") == 2
    assert "needs its T1c as DICOM" in capsys.readouterr().err
    assert report(result, {}, page, "--keep-identity") == 2
    assert "give --study" in capsys.readouterr().err
    assert not page.exists()


def test_corrected_labels_are_reported_as_they_are_now(result: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(result, copy)
    image = sitk.ReadImage(str(copy / "segmentation.nii.gz"))
    sitk.WriteImage(sitk.Cast(image * 0, sitk.sitkUInt8), str(copy / "segmentation.nii.gz"))
    assert report(copy, {}, tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("0.00 ml") >= 6 and "None." in page


def test_what_can_not_be_seen_is_said(result: Path) -> None:
    stored = read_result(result)
    unseen = measure(stored.labels, stored.grid, ["flair", "t1"])
    page = report_html(unseen, stored.run, stored.grid, [])
    assert page.count("not assessable") >= 3 and "no T1c" in page


def test_without_a_browser_pdf_is_a_sentence(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporting, "_BROWSERS", ("no-such-browser",))
    assert main(["report", "--result", str(result), "--output", str(tmp_path / "p.html"), "--pdf"]) == 2
    assert "print report.html from any browser" in capsys.readouterr().err
    assert (tmp_path / "p.html").exists()


@pytest.mark.long
def test_a_browser_prints_one_page(result: Path, tiny_study: dict[str, Path], tmp_path: Path) -> None:
    if not any(shutil.which(name) for name in reporting._BROWSERS):
        pytest.skip("no Chromium, Chrome or Edge is installed")
    assert report(result, tiny_study, tmp_path / "p.html", "--pdf") == 0
    content = (tmp_path / "p.pdf").read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page[^s]", content)) == 1
