"""The role of one series, and why: from headers, descriptions in several languages and file names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .role_words import FLAIR, NOT_STRUCTURAL, PROTON, STAR, T1, T2, WITH, WITHOUT, found, plain, spread

SURE = 0.6
"""A guess below this confidence is a doubt: a person has to settle it."""


@dataclass(frozen=True)
class SeriesFacts:
    """What is known of one series or file without its voxels.

    ``label`` names it to people; ``texts`` are description, protocol, sequence and file names; times are in
    ms; ``spacing_mm`` is (x, y, z); ``orientation`` the row and column cosines (LPS); ``example`` is one of
    its files, relative to the folder that was searched; None, () or "" where nothing is known.
    """

    label: str
    number: int = 0
    texts: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    modality: str = "MR"
    contrast_agent: str = ""
    echo_ms: float | None = None
    repetition_ms: float | None = None
    inversion_ms: float | None = None
    scanning: str = ""
    slices: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    rows_columns: tuple[int, int] = (0, 0)
    files: int = 1
    body_part: str = ""
    orientation: tuple[float, ...] = ()
    example: str = ""

    @property
    def text(self) -> str:
        """All texts as plain words, taken apart; a BIDS name's subject is no word of its."""
        return spread(plain(" ".join(re.sub(r"^sub-[A-Za-z0-9]+_", "", text) for text in self.texts)))

    @property
    def folders(self) -> str:
        """The names of the folders it lies in, below the one that was searched, as plain words."""
        return spread(plain(" ".join(re.split(r"[/\\]", self.example)[:-1])))

    @property
    def has_agent(self) -> bool:
        """Whether its header names a contrast agent, and not that there was none."""
        return bool(plain(self.contrast_agent)) and not re.fullmatch(_NO_AGENT, plain(self.contrast_agent))


@dataclass(frozen=True)
class Guess:
    """``role`` (None: none of the four), how sure (0 to 1), and the reason in words."""

    role: str | None
    confidence: float
    reason: str


_NO_ROLE_TYPES = {
    *(
        "ADC",
        "SUB",
        "SUBTRACT",
        "SUBTRACTION",
        "MIP",
        "MINIP",
        "MNIP",
        "MIN_IP",
        "MAX_IP",
        "PROJECTION IMAGE",
    ),
    *(
        "LOCALIZER",
        "PHASE MAP",
        "PHASE",
        "P",
        "VELOCITY",
        "IMAGINARY",
        "MOSAIC",
        "FA",
        "TRACEW",
        "TRACE",
        "EXP",
    ),
    *("PERFUSION", "DIFFUSION", "T1_MAP", "T2_MAP", "T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "B0 MAP"),
    *("SCREEN SAVE", "RCBV", "RCBF", "MTT", "TTP", "TMAX", "TMAP", "STDDEV", "FMRI", "ANGIO", "TOF", "SWI"),
    *("FAT", "OPP_PHASE", "OUT_PHASE", "FAT_FRACTION", "MAPPED", "CSA MIP", "VRT", "FUSED", "SYNTHETIC MAP"),
}
"""Values of Image Type (0008,0008) that no structural sequence has."""
_REFORMATTED = {
    "MPR",
    "CSA MPR",
    "REFORMATTED",
    "RESAMPLED",
    "AVERAGE",
    "CPR",
    "DIS2D",
    "DIS3D",
    "NORM",
    "DIXON",
}
"""Kinds of derived pictures that show what the original shows."""
_NO_AGENT = r"no(ne)?|0( ?ml)?|nein|ohne.*|non|sans.*|sin.*|keine?|without.*|n a|nil|null|unknown|false|off"
_FEWEST_SLICES = 5
_UNSAID = 0.75
"""How sure a T1 without any sign of contrast is one before contrast."""


def guess(facts: SeriesFacts) -> Guess:
    """The role of one series, with a reason. Derived pictures, maps, scouts and other sequences have none."""
    text, place = facts.text, "name"
    if excluded := _excluded(facts, text):
        return Guess(None, 1.0, excluded)
    named, word = _named(text)
    timed, times = _timed(facts)
    if not named and not word and not timed and facts.folders:
        text, place = facts.folders, "folder's name"
        if excluded := _excluded(facts, text):
            return Guess(None, 1.0, excluded)
        named, word = _named(text)
    if timed == "other":
        return Guess(None, 0.9, times)
    if named is None and timed is None:
        return Guess(None, 0.5, "neither its name nor its times tell the sequence")
    if named is not None and timed is not None and not _compatible(named, timed, facts):
        return _contradicted(named, word, timed, times, facts, text)
    weighting = timed if named is None else named
    assert weighting is not None
    if weighting == "pd":
        return Guess(None, 0.9, f"proton density ({word or times})")
    role, contrast, sure = _with_contrast(weighting, facts, text)
    told = f"named {word}" if place == "name" else f"its folder's name says {word}"
    parts = [part for part in (told if word else "", times if timed else "", contrast) if part]
    base = 0.95 if named and timed else 0.7 if not named or place != "name" else 0.85
    derived, most = _derived(facts)
    parts += [derived] if derived else []
    return Guess(role, round(min(base, sure, most), 2), ", ".join(parts))


def _excluded(facts: SeriesFacts, text: str) -> str:
    """Why a series can have no role, or ""."""
    if facts.modality not in ("", "MR"):
        return f"{facts.modality}, not MR"
    if kind := _NO_ROLE_TYPES & {part.strip() for part in facts.image_type}:
        return f"a derived or other picture ({sorted(kind)[0].lower()})"
    if word := found(NOT_STRUCTURAL, text):
        return f"its name says {word}"
    if word := found(STAR, text):
        return f"T2* ({word})"
    if "EP" in re.findall(r"[A-Z]+", facts.scanning):
        return "echo-planar, as diffusion and perfusion are"
    if part := found(NOT_STRUCTURAL, plain(facts.body_part)):
        return f"of another part of the body ({part})"
    if 0 < facts.slices < _FEWEST_SLICES:
        return f"only {facts.slices} slices"
    return ""


def _named(text: str) -> tuple[str | None, str]:
    """Weighting by name: t1, t2, flair, pd or None; and the word that says so."""
    t1, t2, proton = (found(words, text) for words in (T1, T2, PROTON))
    if flair := found(FLAIR, text):
        return ("t1", f"{t1} {flair}") if t1 else ("flair", flair)
    if t1 and t2 in ("t2",):
        return None, f"{t1} {t2}"
    if t1:
        return "t1", t1
    if proton and t2:
        return None, f"{proton} {t2}"
    if proton:
        return "pd", proton
    return ("t2" if t2 else None), t2


def _timed(facts: SeriesFacts) -> tuple[str | None, str]:
    """Weighting by echo, repetition and inversion time (usual ranges at 1 to 7 T), and the times in words.

    "other" is a sequence that is none of ours, such as STIR.
    """
    echo, repetition, inversion = facts.echo_ms, facts.repetition_ms, facts.inversion_ms or 0.0
    if not echo:
        return None, ""
    told = (
        f"TE {echo:g}"
        + (f", TR {repetition:g}" if repetition else "")
        + (f", TI {inversion:g}" if inversion else "")
    )
    gradient = "GR" in re.findall(r"[A-Z]+", facts.scanning) and "SE" not in facts.scanning
    if gradient and echo >= 12 and not inversion:
        return "other", f"a gradient echo with a long echo time, as T2* is ({told})"
    if 80 <= inversion <= 300 and (repetition or 0) >= 2000 and echo >= 10:
        return "other", f"an inversion time as STIR has ({told})"
    if inversion >= 1500 and echo >= 60:
        return "flair", told
    if echo < 35 and (400 <= inversion <= 1400 or (repetition or 9e9) < 1300):
        return "t1", told
    if echo >= 60 and (repetition or 0) >= 1500 and inversion < 50:
        return "t2", told
    if echo < 50 and (repetition or 0) >= 1500 and inversion < 50:
        return "pd", told
    return None, ""


def _compatible(named: str, timed: str, facts: SeriesFacts) -> bool:
    """Whether times bear a name out; an inversion time is often missing from the header."""
    if named == timed:
        return True
    if facts.inversion_ms:
        return False
    return (named, timed) in {("flair", "t2"), ("t1", "pd")}


def _contradicted(named: str, word: str, timed: str, times: str, facts: SeriesFacts, text: str) -> Guess:
    """The guess for a name that its times speak against: only FLAIR's long inversion is beyond doubt."""
    if timed == "pd":
        return Guess(
            named if named != "t1" else _with_contrast(named, facts, text)[0],
            0.45,
            f"its name says {word}, but {times}",
        )
    sure = 0.7 if (named, timed) == ("t2", "flair") else 0.45
    return Guess(_with_contrast(timed, facts, text)[0], sure, f"its name says {word}, but {times}")


def _with_contrast(weighting: str, facts: SeriesFacts, text: str) -> tuple[str, str, float]:
    """T1 or T1c for a T1 weighting; the reason in words; the confidence that it allows."""
    if weighting != "t1":
        return weighting, "", 1.0
    without = found(WITHOUT, text)
    with_word = found(WITH, text.replace(without, " ") if without else text)
    if with_word and without:
        return "t1c", f"both {with_word!r} and {without!r} in its name", 0.4
    if with_word:
        return "t1c", f"contrast by name ({with_word})", 1.0 if facts.has_agent else 0.9
    if without:
        told = f"no contrast by name ({without})"
        # Some scanners leave the tag on every series of an exam; the others of the exam settle it.
        return ("t1", f"{told}, but an agent in its header", 0.55) if facts.has_agent else ("t1", told, 1.0)
    if facts.has_agent:
        return "t1c", "contrast agent in its header", 0.85
    return "t1", "no sign of contrast agent", _UNSAID


def _derived(facts: SeriesFacts) -> tuple[str, float]:
    """What a derived Image Type says, and the confidence that it allows."""
    kinds = {part.strip() for part in facts.image_type}
    if "DERIVED" not in kinds:
        return "", 1.0
    if kinds & _REFORMATTED or "PRIMARY" in kinds:
        return "derived (" + (sorted(kinds & _REFORMATTED) or ["primary"])[0].lower() + ")", 1.0
    return "derived from other pictures", 0.55
