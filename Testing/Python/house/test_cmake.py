"""CMake lists every file, and what it installs is what the source tree holds."""

import filecmp
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "GliomaSeg"
STUB = ROOT / "Testing" / "Slicer" / "cmake-stub"
INSTALLED = Path("lib/Slicer-5.12/qt-scripted-modules")


def _load_cmake_list():
    spec = importlib.util.spec_from_file_location("cmake_list", ROOT / "Utilities" / "cmake_list.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cmake_list = _load_cmake_list()


def test_every_python_file_is_listed_and_every_listed_file_exists():
    listed = cmake_list.listed_files((MODULE / "CMakeLists.txt").read_text(encoding="utf-8"))
    present = cmake_list.python_files(MODULE)
    assert listed == present, "run  make cmake-list"


def test_a_new_and_a_removed_file_are_noticed(tmp_path):
    package = tmp_path / "GliomaSegLib"
    (package / "room").mkdir(parents=True)
    (package / "room" / "new.py").write_text("")
    text = "set(X\n  # begin files\n  GliomaSegLib/gone.py\n  # end files\n  )\n"
    assert cmake_list.listed_files(text) == ["GliomaSegLib/gone.py"]
    files = cmake_list.python_files(tmp_path)
    assert files == ["GliomaSegLib/room/new.py"]
    assert cmake_list.listed_files(cmake_list.with_files(text, files)) == files


def test_a_list_without_marks_is_refused():
    with pytest.raises(ValueError, match="marks"):
        cmake_list.listed_files("set(X a.py)")


def _cmake() -> str:
    beside_python = Path(sys.executable).parent / "cmake"
    found = str(beside_python) if beside_python.exists() else shutil.which("cmake")
    if found is None:
        pytest.skip("no cmake here")
    if not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")):
        pytest.skip("no C compiler here, and CMake's project() looks for one")
    return found


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The build tree and the install tree of the extension, made with the stand-in Slicer package."""
    cmake = _cmake()
    build, install = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("install")
    commands = (
        [cmake, "-S", ROOT, "-B", build, f"-DSlicer_DIR={STUB}", f"-DCMAKE_INSTALL_PREFIX={install}"],
        [cmake, "--build", build],
        [cmake, "--install", build],
    )
    for command in commands:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return build / INSTALLED, install / INSTALLED


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _expected() -> dict[str, Path]:
    """Path in the installed tree -> file of the source tree."""
    expected = {name: MODULE / name for name in cmake_list.python_files(MODULE)}
    for name in ("GliomaSeg.py", "Resources/Icons/GliomaSeg.png", "Resources/UI/GliomaSeg.ui"):
        expected[name] = MODULE / name
    for folder in ("Models", "Terminology"):
        for name in _files(ROOT / "Resources" / folder):
            expected[f"GliomaSegLib/resources/{folder}/{name}"] = ROOT / "Resources" / folder / name
    return expected


@pytest.mark.parametrize("which", [0, 1], ids=["build tree", "install tree"])
def test_the_tree_holds_every_source_file_unchanged_and_nothing_else(trees, which):
    tree, expected = trees[which], _expected()
    assert _files(tree) == set(expected)
    different = [
        name for name, source in expected.items() if not filecmp.cmp(tree / name, source, shallow=False)
    ]
    assert different == []


@pytest.mark.parametrize("which", [0, 1], ids=["build tree", "install tree"])
def test_the_installed_code_finds_its_own_resources(trees, which):
    code = "from GliomaSegLib.locations import models_folder; print(models_folder())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(trees[which])!r}); {code}"],
        capture_output=True,
        text=True,
        cwd="/",
        check=True,
    )
    assert Path(done.stdout.strip()) == trees[which] / "GliomaSegLib" / "resources" / "Models"
