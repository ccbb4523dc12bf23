"""The wheel carries the resources and works from any folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytest.importorskip("hatchling", reason="the wheel is built with hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    done = subprocess.run([*command, "-w", folder, ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = folder.glob("gliomaseg-*.whl")
    return found


def test_the_wheel_holds_every_python_file_and_resource(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "GliomaSeg" / "GliomaSegLib"
    code = {f"GliomaSegLib/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    resources = {
        f"GliomaSegLib/resources/{path.relative_to(ROOT / 'Resources').as_posix()}"
        for folder in ("Models", "Terminology")
        for path in (ROOT / "Resources" / folder).rglob("*")
        if path.is_file()
    }
    assert code | resources <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any("Screenshots" in name for name in names)


def test_the_installed_wheel_finds_its_resources_from_any_folder(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = "from GliomaSegLib.locations import models_folder; print(models_folder())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert Path(done.stdout.strip()) == target / "GliomaSegLib" / "resources" / "Models"


def test_the_wheel_gives_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "gliomaseg = GliomaSegLib.cli:main" in archive.read(name).decode()
