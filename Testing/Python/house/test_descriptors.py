"""What the Extensions Index reads says the same as CMake."""

import json
import re
from pathlib import Path

import pytest

from GliomaSegLib import __version__

ROOT = Path(__file__).resolve().parents[3]
CMAKE = dict(
    re.findall(r'set\(EXTENSION_(\w+) "([^"]*)"\)', (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
)
ENTRY = json.loads((ROOT / "GliomaSeg.json").read_text(encoding="utf-8"))
# "additionalProperties": false in Slicer's catalogue entry schema 1.0.2: no other key is allowed.
SCHEMA_KEYS = {
    "$schema",
    "category",
    "scm_url",
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "dicom_support_rule",
    "build_subdirectory",
    "enabled",
    "tier",
}


def _s4ext() -> dict[str, str]:
    lines = (ROOT / "GliomaSeg.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {keyword: value for keyword, _, value in pairs}


def test_the_catalogue_entry_has_only_what_its_schema_allows():
    assert set(ENTRY) <= SCHEMA_KEYS
    assert {"$schema", "category", "scm_url"} <= set(ENTRY)
    assert ENTRY["tier"] == 1


def test_the_catalogue_entry_equals_cmake():
    assert ENTRY["category"] == CMAKE["CATEGORY"]
    assert ENTRY["build_dependencies"] == CMAKE["DEPENDS"].split()
    assert ENTRY["scm_url"] == CMAKE["HOMEPAGE"] + ".git"


@pytest.mark.parametrize(
    "keyword",
    ["homepage", "contributors", "category", "iconurl", "description", "depends", "screenshoturls", "status"],
)
def test_the_legacy_descriptor_equals_cmake(keyword):
    assert _s4ext()[keyword] == CMAKE[keyword.upper()]


def test_the_legacy_descriptor_names_the_same_repository():
    assert _s4ext()["scmurl"] == ENTRY["scm_url"]
    assert _s4ext()["scmrevision"] == ENTRY["scm_revision"]


def test_pictures_that_are_linked_exist():
    base = "https://raw.githubusercontent.com/gliomaseg/SlicerGliomaSeg/main/"
    for url in [CMAKE["ICONURL"], *CMAKE["SCREENSHOTURLS"].split()]:
        assert url.startswith(base)
        assert (ROOT / url.removeprefix(base)).is_file(), url


def test_the_icon_is_a_128_pixel_png():
    header = (ROOT / "GliomaSeg" / "Resources" / "Icons" / "GliomaSeg.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (128, 128)


def test_citation_and_changelog_name_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {__version__}" in citation
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
