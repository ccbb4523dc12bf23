"""Keep CMake's list of Python files equal to the folder: ``python Utilities/cmake_list.py [--check]``.

CMake can't glob here, because Slicer's macro wants every script named by its relative path.
"""

from __future__ import annotations

import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[1] / "GliomaSeg"
BEGIN, END = "  # begin files\n", "  # end files\n"


def python_files(module_folder: Path) -> list[str]:
    """The package's Python files, relative to ``module_folder`` with forward slashes, sorted."""
    package = module_folder / "GliomaSegLib"
    found = (path.relative_to(module_folder).as_posix() for path in package.rglob("*.py"))
    return sorted(path for path in found if "/resources/" not in path)


def listed_files(cmake_text: str) -> list[str]:
    """The files between the two marks of ``GliomaSeg/CMakeLists.txt``, in their order.

    Raises ``ValueError`` when a mark is missing.
    """
    _, _, rest = cmake_text.partition(BEGIN)
    block, mark, _ = rest.partition(END)
    if not mark:
        raise ValueError("CMakeLists.txt lacks the marks '# begin files' and '# end files'")
    return [line.strip() for line in block.splitlines()]


def with_files(cmake_text: str, files: list[str]) -> str:
    """``cmake_text`` with ``files`` between the two marks."""
    before, _, rest = cmake_text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "".join(f"  {name}\n" for name in files) + END + after


def main(arguments: list[str]) -> int:
    """Rewrite the list, or with ``--check`` only compare: 0 equal or written, 1 different."""
    cmake = MODULE_FOLDER / "CMakeLists.txt"
    text = cmake.read_text(encoding="utf-8")
    listed, present = listed_files(text), python_files(MODULE_FOLDER)
    if listed == present:
        return 0
    for name in sorted(set(present) - set(listed)):
        sys.stdout.write(f"not listed: {name}\n")
    for name in sorted(set(listed) - set(present)):
        sys.stdout.write(f"listed but gone: {name}\n")
    if "--check" in arguments:
        return 1
    cmake.write_text(with_files(text, present), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
