"""The words by which people and scanners name sequences: English, German, French, Spanish and some more.

Texts are compared in lower case, without accents, separators as spaces; every entry is an alternative of a
regular expression that must match whole words.
"""

from __future__ import annotations

import re
import unicodedata

NOT_STRUCTURAL = (
    # diffusion and perfusion
    r"e?d?adc|dwi|[ed]?dw|diff\w*|difus\w*|dti|trace\w*|tensor|fa|colfa|aniso\w*|average dc|apparent \w+|"
    r"b ?\d{3,4}|b0|perf\w*|pwi|dsc|dce|asl|pcasl|ktrans|r?el?cbv|r?el?cbf|r?cbv|r?cbf|mtt|ttp|tmax|gbp|"
    r"pbp|ep2d\w*|epi|epse|epfid|dyn|dynam\w*|dinam\w*|twist|"
    # susceptibility, vessels, flow, spectroscopy, function
    r"swi\w*|swip|swan|venbold|qsm|pha|mag|tof|angio\w*|mra|mrv|veno\w*|phase|pca?|flow|cine|spectro\w*|"
    r"mrs|svs|csi|press|fmri|bold|resting|cest|apt|aptw|mtc|"
    # what is computed from other pictures
    r"m?i?n?ip|mip|minip|subs?|subtr\w*|subtrak\w*|sustr\w*|soustr\w*|sottra\w*|subtra\w*|diff image|map|"
    r"maps|mapping|mapped|karte|carte|mapa|mappa|molli|t1rho|r2|vrt|vr|fused|fusion|fusionado|screen ?\w*|"
    r"mobiview|snapshot|report|key ?images?|processed|results?|inv ?[12]|(?:t1 )?dixon (?:f|fat|opp|out)|"
    r"fat ?frac\w*|opp|opp phase|"
    # scouts and calibration
    r"loc|local\w*|lokal\w*|localis\w*|reperage|scout|aahscout|aahead|survey|3 ?plane|3 ?pl|plan scan|"
    r"planung|ubersicht|uebersicht|calib\w*|cal|smart ?brain|ref ?scan|sense ref|field ?map\w*|b1|shim\w*|"
    # other contrasts of tissue
    r"[es]?stir|dir|double ir|psir|ciss|fiesta|trufi\w*|"
    # other parts of the body
    r"(?:c|t|l|ls) ?spine|spin(?:e|al)|wirbel\w*|hws|bws|lws|columna|rachis|cervical\w*|lumb\w*|dorsal|"
    r"neck|hals|cuello|cou|orbit\w*|iac|cai|innenohr|pituit\w*|hypoph\w*|hipof\w*|knee|knie|"
    # what other programs leave
    r"seg|segm\w*|mask\w*|maske|labels?|labelmap|roi|lesions?|uncertainty|prob\w*|rtstruct|contours?"
)
"""Names of pictures that are none of the four sequences."""

STAR = (
    r"t2 ?\*|t2 ?star|t2s|hemo\w*|hamo\w*|haemo\w*|gre t2|t2 gre|t2 eg|eg t2|t2 eco de gradiente|"
    r"t2 grad\w*|fl2d t2|t2 fl2d|t2 ffe|ffe t2|medic|merge"
)
FLAIR = r"flair|t2f|dark ?fluid|da ?fl|dunkle flussigkeit|liquide sombre|tirm|spcir|spc ir"
T1 = r"t1|t1n|t1c|t1ce|t1gd|t1km|mp ?rage|mp2rage|bravo|f?spgr|3d ?tfe|tfl|vibe|ir ?f?spgr|thrive|lava"
T2 = r"t2|propeller|blade|multivane|frfse"
PROTON = r"pd|pdw|dp|proton\w*|densi\w+"

WITHOUT = (
    r"(?:ohne|sans|sin|sem|senza|zonder|utan|uden|without|w o|wo|no|non|not|ss|before|vor|v|prae?|pre|"
    r"pre op|avant|antes(?: de| del)?|prima(?: di| del)?|voor|fore|for) ?(?:km|k|kontrast\w*|contrast\w*|"
    r"gd|gado\w*|gad|inj\w*|iv\w*|civ|pdc|mdc|c|dotarem|gadovist|mezzo)|o km|okm|nativ\w*|simple|"
    r"unenhanced|non ?enhanced|plain|blanco|basal|noncontrast|noncon|nc|t1n|pre|precon|precontrast\w*|"
    r"pregad\w*|pregd|prekm|s c|wo|w o|without"
)
"""Before or without contrast agent."""

WITH = (
    r"\+ ?c|c ?\+|\+ ?k|\+ ?iv|iv ?\+|ce|t1ce|t1c|t1gd|t1km|t1 c|\+ ?gd|\+ ?gad\w*|\+ ?km|gd|gad|gado\w*|"
    r"gadovist|dotarem|prohance|multihance|clariscan|km|pkm|nkm|mkm|kontras\w*|post|postcon|"
    r"postcontrast\w*|postgad\w*|pos|postgd|postkm|contrast\w*|inj\w*|ivg?|civ|c c|enhanced|pdc|mdc"
)
"""After contrast agent."""

FAT_SUPPRESSED = r"fs|fat ?sat\w*|fatsat|spair|spir|chemsat|grasa"
DARK_BLOOD = r"(?:black|dark) ?blood|bb|vessel ?wall|msde"
SYNTHETIC = r"magic|symri|syn|synth\w*|synthetic"

_TREATMENT = (
    r"(?:pre|prae?|post|peri) ?(?:op\w*|surg\w*|cir\w*|quir\w*|rt|rx|radio\w*|radiat\w*|treat\w*|"
    r"resect\w*|biops\w*|chemo\w*|therap\w*|ttt)|post(?:erior)? fossa|fossa post\w*"
)
_GLUED = re.compile(
    r"(flair|mprage|mp2rage|bravo|space|cube|vista|tse|fse|gado|[23]d|(?<=[a-z])t[12](?=w?(?: |$)))"
)
_WHOLE = {"t1n", "t1c", "t1ce", "t1gd", "t1km", "t2f", "t2star", "t2s", "t1rho"}


def plain(text: str) -> str:
    """Lower case, no accents, separators as single spaces.

    >>> plain("T1_après-Injection (C+)")
    't1 apres injection c+'
    """
    folded = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss"))
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return re.sub(r"[\s_\-./,;:()\[\]{}'\"^|=&#]+", " ", bare).strip()


def spread(text: str) -> str:
    """Plain text with glued spellings taken apart, and without words on surgery such as pre-op.

    >>> spread("3dt1tse+c"), spread("t1w post op km"), spread("st1w 3dtfegado")
    ('3d t1 tse +c', 't1 km', 't1 3d tfe gado')
    """
    text = re.sub(rf"\b(?:{_TREATMENT})\b", " ", text)
    text = re.sub(r"\b[a-z]t(?=[12]w)", "t", text)
    for _ in range(2):  # the second time for what the first has set free, as in sagt1gado
        text = _GLUED.sub(r" \1 ", text)
    text = text.replace("+", " +")
    words: list[str] = []
    for word in text.split():
        glued = re.fullmatch(r"(t[12])(?:wi?)?([a-z]*.*)", word)
        words += [word] if glued is None or word in _WHOLE else [part for part in glued.groups() if part]
    return " ".join(words)


def found(words: str, text: str) -> str:
    """The first of ``words`` that is whole in ``text``, or "".

    >>> found("km|gd", "t1 km tra"), found("km", "t1 kmx")
    ('km', '')
    """
    hit = re.search(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])", text)
    return hit.group(0).strip() if hit else ""
