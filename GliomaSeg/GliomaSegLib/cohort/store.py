"""The output of a cohort: BIDS derivatives, one folder a study, each published in one move with its record.

``record.json`` travels inside the folder that it describes, so that a result appears together with what
made it: whoever finds a record finds the whole result. A refusal has its record in ``.cohort``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputRefused
from ..output_folder import refused_output

RECORD = "record.json"
_STATE = ".cohort"
_OLD = ".old"
_TRIES = 20


@dataclass(frozen=True)
class Store:
    """The output folder ``root`` of one cohort."""

    root: Path

    @property
    def state(self) -> Path:
        """What the cohort keeps for itself: attempts under way, records of refusals, the lock, the salt."""
        return self.root / _STATE

    @property
    def attempts(self) -> Path:
        """Where results are made before they are moved to their place; same file system as that."""
        return self.state / "attempts"

    def attempt(self) -> Path:
        """A new, empty folder to make one result in."""
        folder = self.attempts / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def record(self, folder: Path) -> dict[str, Any] | None:
        """The record of what lies in ``folder`` (relative to the root), None when that is not whole."""
        place = self.root / folder
        found = read_json(place / RECORD)
        if found is None or not all(_filled(place / name) for name in found.get("files", ())):
            return None
        return found

    def refusal(self, name: str) -> dict[str, Any] | None:
        """The record of a study that was refused."""
        return read_json(self.state / "refused" / f"{name}.json")

    def note_refusal(self, name: str, record: dict[str, Any]) -> None:
        """Keep the record of a study that has no result."""
        write_json(self.state / "refused" / f"{name}.json", record)

    def forget_refusal(self, name: str) -> None:
        """The study has a result now."""
        (self.state / "refused" / f"{name}.json").unlink(missing_ok=True)

    def publish(self, made: Path, folder: Path, own: Collection[str], identity: Any) -> bool:
        """Move ``made`` to ``folder`` (relative to the root) in one step; False when another was first.

        Two workers may have made one result, when the first was thought lost: whoever comes second finds the
        record of the same ``identity`` and gives way. Files in ``folder`` that are not among ``own`` are a
        person's and stay.
        """
        place = self.root / folder
        place.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            present = self.record(folder)
            if present is not None and present["identity"] == identity:
                return False
            old = self._step_aside(made, place, own)
            try:
                made.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
            return True
        raise OutputRefused(f"{folder.as_posix()} is being written by others all the time: stop them.")

    def _step_aside(self, made: Path, place: Path, own: Collection[str]) -> Path | None:
        """Move what lies in ``place`` away, after a copy of a person's files in it went to ``made``."""
        if not place.exists():
            return None
        for item in place.iterdir():
            if item.name not in own and not (made / item.name).exists():
                if item.is_dir():
                    shutil.copytree(item, made / item.name)
                else:
                    shutil.copy2(item, made / item.name)
        target = "+".join(place.relative_to(self.root).parts)
        old = self.attempts / f"{target}+{uuid.uuid4().hex}{_OLD}"
        with contextlib.suppress(FileNotFoundError):
            place.rename(old)
        return old

    def tidy(self) -> None:
        """Delete what an earlier start left; see also ``tidy_attempts``."""
        for left in [*self.state.glob("cancel-*"), *self.state.glob("probe-*")]:
            left.unlink(missing_ok=True)
        self.tidy_attempts()

    def tidy_attempts(self) -> None:
        """Delete unfinished attempts; put back what stepped aside for a result that never came."""
        if not self.attempts.is_dir():
            return
        for left in list(self.attempts.iterdir()):
            *parts, _ = left.name.split("+")
            place = self.root.joinpath(*parts)
            if left.name.endswith(_OLD) and parts and not place.exists():
                with contextlib.suppress(OSError):
                    left.rename(place)
                    continue
            shutil.rmtree(left, ignore_errors=True)

    def check_writable(self) -> None:
        """Write and remove a megabyte. Raises ``OutputRefused`` when the disk is full or can't be written."""
        probe = self.state / f"probe-{uuid.uuid4().hex}"
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"\0" * 1_000_000)
        except OSError as error:
            raise refused_output(self.root, error) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None when it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON so that readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text beside, then move it onto ``path``."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
