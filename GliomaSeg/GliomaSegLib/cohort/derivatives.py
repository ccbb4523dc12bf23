"""The output's own papers: what BIDS derivatives want to say about themselves."""

from __future__ import annotations

from .. import __version__
from ..errors import OutputRefused
from ..labels import STRUCTURES
from .store import Store, read_json, write_json, write_whole

DESCRIPTION = "dataset_description.json"
_LABELS = "dseg.tsv"
_IGNORED = "*\n!dataset_description.json\n!dseg.tsv\n!**/*_dseg.nii.gz\n"
"""Everything but the description, the labels and the label maps has names of ``segment``, not of BIDS."""
_NAME = "GliomaSeg"


def check_output(store: Store) -> None:
    """Refuse an output that is a file, or a folder with something else in it. Raises ``OutputRefused``."""
    root = store.root
    if root.exists() and not root.is_dir():
        raise OutputRefused(f"The output {root.name} is a file: give a folder.")
    if not root.is_dir() or store.state.is_dir() or _is_ours(store):
        return
    if any(root.iterdir()):
        raise OutputRefused(f"The folder {root.name} holds other things: give a new or an empty one.")


def _is_ours(store: Store) -> bool:
    found = read_json(store.root / DESCRIPTION) or {}
    makers = found.get("GeneratedBy")
    return isinstance(makers, list) and any(isinstance(m, dict) and m.get("Name") == _NAME for m in makers)


def describe(store: Store) -> None:
    """Write ``dataset_description.json``, the table of labels and the list of what BIDS should ignore."""
    description = {
        "Name": "Glioma segmentations",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": _NAME, "Version": __version__}],
    }
    lines = ["index\tname\tabbreviation\tcolor"]
    lines += [f"{s.number}\t{s.name}\t{s.abbreviation}\t#{bytes(s.colour).hex()}" for s in STRUCTURES]
    write_json(store.root / DESCRIPTION, description)
    write_whole(store.root / _LABELS, "\n".join(lines) + "\n")
    write_whole(store.root / ".bidsignore", _IGNORED)
