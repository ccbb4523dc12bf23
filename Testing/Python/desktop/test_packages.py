"""Packages are installed so that whatever goes wrong leaves Slicer's folder as it was."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
import slicer
from workbench import Answers

from GliomaSegLib.desktop import packages, snapshot
from GliomaSegLib.desktop.dependencies import Dependencies
from GliomaSegLib.desktop.snapshot import KEPT_NAME, recover, undone_on_failure


def contents(folder):
    """Path -> text of every file, snapshots and compiled files included."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def site(tmp_path):
    """A folder with two packages, as pip leaves them."""
    for name in ("old", "kept"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "code.py").write_text(name)
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info" / "RECORD").write_text(f"{name}/deep/code.py,,\n")
    return tmp_path


def half_an_installation(folder):
    """What pip has done when it is killed: an old package gone, a new one half there."""
    (folder / "old" / "deep" / "code.py").unlink()
    (folder / "old-1.dist-info" / "RECORD").rename(folder / "old-1.dist-info" / "RECORD.stashed")
    (folder / "new" / "__pycache__").mkdir(parents=True)
    (folder / "new" / "__init__.py").write_text("half")
    (folder / "new" / "__pycache__" / "x.pyc").write_text("")
    changed = folder / "kept" / "deep" / "code.py"
    changed.unlink()
    changed.write_text("another version")


def test_a_failure_brings_everything_back(site):
    before = contents(site)
    with pytest.raises(ZeroDivisionError), undone_on_failure([site]):
        half_an_installation(site)
        raise ZeroDivisionError
    assert contents(site) == before and not (site / "new").exists()


def test_success_leaves_what_was_installed_and_no_trace(site):
    with undone_on_failure([site]):
        half_an_installation(site)
    assert (site / "new" / "__init__.py").exists() and not (site / KEPT_NAME).exists()
    assert recover([site]) is False and (site / "new").exists()


def test_when_slicer_itself_was_killed_the_next_look_brings_everything_back(site):
    before = contents(site)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from GliomaSegLib.desktop.snapshot import undone_on_failure\n"
        "with undone_on_failure([Path(sys.argv[1])]):\n"
        "    (Path(sys.argv[1]) / 'new').mkdir()\n"
        "    (Path(sys.argv[1]) / 'new' / 'x').write_text('half')\n"
        "    os._exit(9)\n"
    )
    stubs = site.parent / "stubs"
    stubs.mkdir()
    (stubs / "qt.py").write_text("")
    path = os.pathsep.join((str(stubs), str(packages.Path(packages.__file__).parents[2])))
    ended = subprocess.run([sys.executable, "-c", script, str(site)], env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == 9 and (site / KEPT_NAME).is_dir()
    assert recover([site]) is True
    assert contents(site) == before


def test_another_slicers_installation_is_left_alone(site, monkeypatch):
    snapshot._take(site)
    half_an_installation(site)
    assert recover([site]) is False, "its owner, this process, is alive"
    with pytest.raises(RuntimeError, match="another Slicer"), undone_on_failure([site]):
        pytest.fail("two installations at once")
    monkeypatch.setattr(snapshot, "process_is_alive", lambda pid: False)
    assert recover([site]) is True and not (site / "new").exists()


def test_a_disk_without_second_names_still_installs(site, monkeypatch):
    def refuse(*_arguments, **_more):
        raise OSError("not on this disk")

    monkeypatch.setattr(os, "link", refuse)
    with undone_on_failure([site]):
        half_an_installation(site)
    assert (site / "new").exists() and sorted(p.name for p in site.iterdir() if p.name.startswith(".")) == []


class Distribution:
    """A distribution as importlib.metadata describes it."""

    def __init__(self, version, files):
        self.version, self.files = version, files


@pytest.mark.parametrize(
    ("version", "files", "there"),
    [("2.13.0+cpu", ["x"], True), ("2.13.0", None, False), ("1.9", ["x"], False)],
)
def test_a_package_counts_when_it_is_whole_and_new_enough(monkeypatch, version, files, there):
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution(version, files))
    assert packages.is_installed("json", ">=2.4") is there, "json stands for a module that can be found"


def test_a_package_that_is_not_there_does_not_count():
    assert packages.is_installed("gliomaseg-no-such-package", ">=1") is False


def test_pip_gets_the_versions_that_slicer_is_built_against(monkeypatch):
    asked = []

    def pip_install(wanted, requester=None):
        pins = Path(wanted[-1]).read_text()
        asked.append((wanted[:-1], pins, requester))

    monkeypatch.setattr(slicer.packaging, "pip_install", pip_install)
    packages.pip_install(["torch>=2.4"])
    ((wanted, pins, requester),) = asked
    assert wanted == ["torch>=2.4", "-c"] and requester == "GliomaSeg"
    assert f"numpy=={importlib.metadata.version('numpy')}\n" in pins


def test_a_slicer_without_the_packaging_module_installs_through_slicer_util(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", asked.append, raising=False)
    packages.pip_install(["safetensors"])
    assert asked[0][0] == "safetensors"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Dependencies on a folder of its own: (dependencies, answers, the folder)."""
    from GliomaSegLib.desktop import dependencies

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(dependencies, "package_folders", lambda: [site])
    answers = Answers(path="/media/wheels")
    return Dependencies(answers, missing=lambda: ["torch"], lacks=lambda name: False), answers, site


def test_an_install_that_fails_says_that_slicer_is_as_it_was_and_it_is(asked):
    dependencies, answers, site = asked

    def broken(names):
        (site / "torch").mkdir()
        (site / "torch" / "half.py").write_text("")
        raise subprocess.CalledProcessError(1, "pip")

    dependencies.online = broken
    assert dependencies.ensure() is False
    assert answers.errors == ["The packages could not be installed; Slicer is as it was."]
    assert list(site.iterdir()) == []


def test_the_question_names_the_packages_and_their_size_and_no_means_no(asked):
    dependencies, answers, _site = asked
    answers.agrees = False
    dependencies.online = lambda names: pytest.fail("installed without consent")
    assert dependencies.ensure() is False and answers.errors == []
    assert "torch" in answers.questions[0] and "0.2 GB" in answers.questions[0]
    assert "Install from a folder" in answers.questions[0]


def test_an_offline_install_uses_the_folder_only(asked, monkeypatch):
    dependencies, _answers, _site = asked
    wanted = []
    monkeypatch.setattr(slicer.packaging, "pip_install", lambda words, requester=None: wanted.append(words))
    dependencies.missing = lambda: [] if wanted else ["torch"]
    assert dependencies.ensure_offline() is True
    assert wanted[0][:4] == ["--no-index", "--find-links", "/media/wheels", "torch>=2.4"]


def test_of_the_packages_for_a_single_purpose_those_in_the_folder_are_tried(asked, tmp_path):
    dependencies, answers, _site = asked
    answers.path = str(tmp_path)
    for name in ("torch-2.13-cp312.whl", "deepbet-1.0.2.tar.gz", "openvino-2026.4.1-cp312.whl"):
        (tmp_path / name).write_text("")
    tried = []

    def offline(names, folder):
        tried.append((names, folder))
        if names == ["deepbet"]:
            raise subprocess.CalledProcessError(1, "pip")

    dependencies.offline, dependencies.lacks = offline, lambda name: True
    dependencies.missing = lambda: [] if tried else ["torch"]
    assert dependencies.ensure_offline() is True and answers.errors == []
    assert tried == [([name], str(tmp_path)) for name in ("torch", "deepbet", "openvino")]
