"""Which series is T1, T1c, T2, FLAIR, and why: from headers, descriptions in five languages, file names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputRefused
from .volume import ROLE_NAMES, ROLES

SURE = 0.6
"""A guess below this confidence is a doubt: a person has to settle it."""
_TIE = 0.1
_SAME_QUALITY = 0.15


@dataclass(frozen=True)
class SeriesFacts:
    """What is known of one series or file without its voxels.

    ``label`` names it to people; ``texts`` are description, protocol, sequence and file names; times are in
    ms; ``spacing_mm`` is (x, y, z); None or "" where nothing is known.
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
        """All texts in lower case, separators as spaces."""
        return re.sub(r"[\s_\-./,;:]+", " ", " ".join(self.texts).lower()).strip()


@dataclass(frozen=True)
class Guess:
    """``role`` (None: none of the four), how sure (0 to 1), and the reason in words."""

    role: str | None
    confidence: float
    reason: str


_NO_ROLE_TYPES = {
    *("ADC", "SUBTRACT", "SUBTRACTION", "MIP", "MINIP", "MIN_IP", "MAX_IP", "PROJECTION IMAGE", "LOCALIZER"),
    *("PHASE MAP", "PHASE", "MOSAIC", "FA", "TRACEW", "EXP", "PERFUSION", "DIFFUSION", "T1_MAP", "T2_MAP"),
    *("SCREEN SAVE", "RCBV", "RCBF", "MTT", "TTP", "TMAP", "STDDEV", "FMRI", "ANGIO"),
}
"""Values of Image Type (0008,0008) that no structural sequence has."""

_NO_ROLE_WORDS = (
    r"adc|dwi|diff\w*|trace\w*|dti|tensor|e?adc|perf\w*|dsc|dce|asl|r?cbv|r?cbf|mtt|ttp|swi|swan|mip|"
    r"minip|venbold|sub|subtr\w*|subtrak\w*|soustr\w*|sustr\w*|loc|local\w*|lokal\w*|localis\w*|repérage|reperage|scout|"
    r"survey|aahead|3 ?plane|plan scan|calib\w*|asset|tof|angio\w*|mra|mrv|phase|spectro\w*|mrs|csi|press|"
    r"fmri|bold|map|karte|carte|mapa|screen\w*|report|fused|fusion|mapped|b0|b1000|ep2d|epi|seg|mask|labels?|roi|"
    r"stir"
)
_STAR = r"t2 ?\*|t2 ?star|t2star|hemo|hämo|haemo|gre t2|t2 gre|fl2d|t2 ffe|t2ffe|medic|merge"
_FLAIR = r"flair|dark ?fluid|darkfluid|dunkle flüssigkeit|tirm"
_T1 = r"t1|t1w|t1n|t1tfe|mp ?rage|mp2rage|bravo|spgr|fspgr|3d ?tfe|t1tfe|vibe|ir ?fspgr|ffe t1|cube t1"
_T2 = r"t2|t2w|t2 ?tse|propeller|blade|multivane|ciss|fiesta"
_PROTON = r"pd|pdw|dp|proton\w*|densit\w+"
_WITHOUT = (
    r"ohne (?:km|kontrast\w*|gd|gado\w*)|o km|nativ\w*|sans (?:gd|gado\w*|inj\w*|contraste|pdc|ivg?)|"
    r"non (?:inj\w*|contrast\w*)|sin (?:gd|gado\w*|contraste|civ|iv)|simple|without(?: \w+)?|w o(?: \w+)?|"
    r"no (?:contrast|gad\w*)|pre(?: ?(?:gd|gado\w*|contrast\w*|km|inj\w*))?|precontrast|unenhanced|plain|t1n"
)
_WITH = (
    r"\+ ?c|c ?\+|ce|t1ce|t1c|t1gd|t1km|t1 c|\+ ?gd|\+ ?km|gd|gad|gado\w*|gadovist|dotarem|km|kontrast\w*|"
    r"mit km|nach km|post(?: ?(?:gd|gado\w*|contrast\w*|km|inj\w*))?|postcontrast|contrast\w*|inj\w*|"
    r"avec gado\w*|ivg?|civ|con (?:gd|gado\w*|contraste)|enhanced|with contrast|apres inj\w*|"
    r"après inj\w*|pdc|\+ ?iv"
)


def _has(words: str, text: str) -> str:
    """The first of ``words`` (alternatives of a pattern) that is a whole word of ``text``, or ""."""
    found = re.search(rf"(?<![a-zäöüéèñ0-9])(?:{words})(?![a-zäöüéèñ0-9])", text)
    return found.group(0) if found else ""


_WHOLE = {"t1w", "t1n", "t1c", "t1ce", "t1gd", "t1km", "t2w", "t2f", "t2star", "t1tfe", "t2ffe"}


def _spread(text: str) -> str:
    """``text`` with glued spellings taken apart (3dt1tse+c: 3d t1 tse +c), and without pre-op, post-op."""
    text = re.sub(r"\b(?:pre|post) ?op(?:\w*)\b|\bpost ?(?:treatment|rt|resection)\b", " ", text)
    text = re.sub(r"(flair|mprage|mp2rage|space|cube|vista|tse|fse|[23]d)", r" \1 ", text).replace("+", " +")
    words: list[str] = []
    for word in text.split():
        glued = re.fullmatch(r"(t[12])([a-z].*)", word)
        words += [word] if glued is None or word in _WHOLE else [glued[1], glued[2]]
    return " ".join(words)


def guess(facts: SeriesFacts) -> Guess:
    """The role of one series, with a reason. Derived pictures, maps, scouts and other sequences have none."""
    if excluded := _excluded(facts):
        return Guess(None, 1.0, excluded)
    text = _spread(facts.text)
    named, word = _named(text)
    timed, times = _timed(facts)
    if named is None and timed is None:
        return Guess(None, 0.5, "neither its name nor its times tell the sequence")
    if named is not None and timed is not None and named != timed:
        # "T1 FLAIR" and the like: an inversion time decides better than a name.
        return Guess(_with_contrast(timed, facts, text)[0], 0.45, f"its name says {word}, but {times}")
    weighting = named or timed
    assert weighting is not None
    if weighting == "pd":
        return Guess(None, 0.9, f"proton density ({word or times})")
    role, contrast, sure = _with_contrast(weighting, facts, text)
    parts = [part for part in (f"named {word}" if word else "", times if timed else "", contrast) if part]
    base = 0.95 if named and timed else 0.85 if named else 0.7
    return Guess(role, round(min(base, sure), 2), ", ".join(parts))


def _excluded(facts: SeriesFacts) -> str:
    """Why a series can have no role, or ""."""
    if facts.modality not in ("", "MR"):
        return f"{facts.modality}, not MR"
    if kind := _NO_ROLE_TYPES & {part.strip() for part in facts.image_type}:
        return f"a derived or other picture ({sorted(kind)[0].lower()})"
    text = _spread(facts.text)
    if word := _has(_NO_ROLE_WORDS, text):
        return f"its name says {word}"
    if word := _has(_STAR, text):
        return f"T2* ({word})"
    if "EP" in re.findall(r"[A-Z]+", facts.scanning):
        return "echo-planar, as diffusion and perfusion are"
    if 0 < facts.slices < 5:
        return f"only {facts.slices} slices"
    return ""


def _named(text: str) -> tuple[str | None, str]:
    """Weighting by name: t1, t2, flair, pd or None; and the word that says so."""
    t1 = _has(_T1 + r"|t1c|t1ce|t1gd|t1km", text)
    if flair := _has(_FLAIR + r"|t2f", text):
        return ("t1", f"{t1} {flair}") if t1 else ("flair", flair)
    if t1:
        return "t1", t1
    if word := _has(_PROTON, text):
        return "pd", word
    word = _has(_T2, text)
    return ("t2" if word else None), word


def _timed(facts: SeriesFacts) -> tuple[str | None, str]:
    """Weighting by echo, repetition and inversion time (usual ranges at 1 to 7 T), and the times in words."""
    echo, repetition, inversion = facts.echo_ms, facts.repetition_ms, facts.inversion_ms or 0.0
    if echo is None:
        return None, ""
    told = (
        f"TE {echo:g}"
        + (f", TR {repetition:g}" if repetition else "")
        + (f", TI {inversion:g}" if inversion else "")
    )
    if inversion >= 1500 and echo >= 60:
        return "flair", told
    if echo < 30 and (400 <= inversion <= 1400 or (repetition or 9e9) < 1300):
        return "t1", told
    if echo >= 60 and (repetition or 0) >= 1500 and inversion < 50:
        return "t2", told
    if echo < 50 and (repetition or 0) >= 1500 and inversion < 50:
        return "pd", told
    return None, ""


def _with_contrast(weighting: str, facts: SeriesFacts, text: str) -> tuple[str, str, float]:
    """T1 or T1c for a T1 weighting; the reason in words; the confidence that it allows."""
    if weighting != "t1":
        return weighting, "", 1.0
    without = _has(_WITHOUT, text)
    rest = text.replace(without, " ") if without else text
    with_word = _has(_WITH, rest)
    agent = facts.contrast_agent.strip()
    given = bool(agent) and not re.fullmatch(r"(?i)no(ne)?|0|nein|ohne.*|non|sans.*|sin.*|keine?|n/?a", agent)
    if with_word and without:
        return "t1c", f"both {with_word!r} and {without!r} in its name", 0.4
    if with_word:
        return "t1c", f"contrast by name ({with_word})", 1.0 if given else 0.9
    if without:
        return "t1", f"no contrast by name ({without})", 0.55 if given else 1.0
    if given:
        return "t1c", "contrast agent in its header", 0.85
    return "t1", "no sign of contrast agent", 0.75


def choose(
    candidates: Sequence[tuple[SeriesFacts, Guess]], wanted: Sequence[str] = ROLES
) -> Mapping[str, int]:
    """The index of the best candidate for each wanted role that has one.

    Among sure candidates the finer and more complete wins. Raises ``InputRefused`` for a tie and for a doubt,
    listing the candidates and the option that settles it.
    """
    chosen: dict[str, int] = {}
    for role in wanted:
        found = [i for i, (_, one) in enumerate(candidates) if one.role == role]
        if not found:
            continue
        surest = max(candidates[i][1].confidence for i in found)
        close = [i for i in found if candidates[i][1].confidence >= max(SURE, surest - _TIE)]
        if not close:
            raise _unsettled(role, "in doubt", [candidates[i] for i in found])
        close.sort(key=lambda i: quality(candidates[i][0]), reverse=True)
        best = quality(candidates[close[0]][0])
        if len(close) > 1 and quality(candidates[close[1]][0]) >= best * (1 - _SAME_QUALITY):
            raise _unsettled(role, "a tie", [candidates[i] for i in close])
        chosen[role] = close[0]
    return chosen


def quality(facts: SeriesFacts) -> float:
    """How much a series can show, larger is better: head coverage over voxel size, thickness twice."""
    if facts.spacing_mm is None or not facts.slices:
        return 0.0
    x, y, z = (max(s, 0.1) for s in facts.spacing_mm)
    coverage = min(1.0, facts.slices * z / 130.0)
    return coverage**2 / (x * y * z * max(x, y, z)) ** 0.5


def _unsettled(role: str, why: str, candidates: list[tuple[SeriesFacts, Guess]]) -> InputRefused:
    listed = "; ".join(f"{facts.label} ({one.reason})" for facts, one in candidates)
    return InputRefused(
        f"Which series is {ROLE_NAMES[role]} is {why}: {listed}. Choose with --{role} and one of its files."
    )
