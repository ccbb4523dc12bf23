"""Names of series as hospitals give them: each is taken for what it is."""

from __future__ import annotations

import pytest

from GliomaSegLib.intake.roles import SURE, SeriesFacts, guess

T1C = """
T1 3D VIBE AXIAL FS  GADO|Obl T1 3D FSPGR IR IV|AX T1 POS|Ax 3D T1 Gado|T1 Gado post op|AX T1 DIXON +C_W
T1 MPRAGE KM|T1 3D post Gd|t1_mprage_sag_p2_iso_KM|t1_mpr_sag_KM|t1_tse_tra n. KM|t1_tse_tra_p.KM
T1 post KM|T1 pKM|T1_KM|T1w_3D_TFE_Gd|sT1W_3D_TFE_GD|3D T1 GADO|3D T1 EG GADO|AX T1 SE GADO|AX T1 IV+
T1 +IV|SAG T1 C+|Ax 3D T1 BRAVO+C|Ax T1 MEMP POST|Ax T1 FSE +GAD|T1 CON CIV|T1 C/C|T1 con GD
T1 AXIAL GADOLINIO|T1 mdc|T1 dopo mdc|T1 com contraste|T1 pos gd|T1_post|T1W_POST|POST T1|POST AX T1 3D
post-contrast SPGR|T1 VIBE KM|mprage gd|MPRAGE post|T1 STEALTH POST GAD|T1_SPACE_KM|T1 CUBE +C
T1 VISTA gd|t1_space_dark-blood_km|Ax T1 FLAIR +C|T1Gd|T1CE|T1-CE|t1wce|T1W+C|T1post|T1_postcontrast
sub-01_ses-2_ce-gd_T1w|T1W_CE|3DT1GD|T1 na contrast|T1 met gd|T1 med kontrast|T1 POST GADOLINIUM
T1 FS GAD|T1 MPRAGE Navi KM|BRAINLAB T1 KM|NEURONAV T1 +C|POSTCON T1|T1 post-contraste|T1 TRA KM FS
t1_fl3d_tra_KM|T1 nach Kontrastmittelgabe|T1 MPRAGE post-op KM|T1 KM preop|T1 Dotarem|SAGT1GADO
t1_tse_cor_gado|AX T1 POST FOSSA GD|T1 tra p. KM|T1_TSE_AX_GD|T1 W 3D FFE KM|t1_tirm_tra_dark-fluid_KM
T1 après gadolinium|T1 APRES INJ|T1 iv contrast|mp2rage_sag_UNI_KM|WATS T1 +gd|T1 SE COR +K
Sag 3D MPRAGE + Contrast|AX MPR T1 POST|T1 with contrast
"""
T1 = """
sag sT1W_3D_TFE nativ|CS sag T1W_3D_TFE nativ|sT1W_3D_TFE_PRE_GD|eT1W_SE|T1 3D VIBE AXIAL  avant gado
3D_T1w_MPRAGE|Obl T1 3D FSPGR IR|sT1W_3D_TFE_AX PRE|WIP sT1W_3D_TFE SENSE|t1_mprage_ns_sag_fast|T1 MPRAGE
T1 vor KM|T1 v. KM|T1 prae KM|T1 prä-KM|T1 avant gado|AX T1 AVANT INJECTION|T1 sans gado|T1 NON GADO
T1 SIN CIV|T1 S/C|T1 SIMPLE|T1 antes de contraste|T1 pre contraste|T1 PRE-GAD|T1 PRE|PRE T1
T1 precontrast|T1 w/o|T1 W/O GAD|T1 WITHOUT CONTRAST|T1 noncontrast|T1 non-contrast|T1 no gd|T1 nativ
T1 native|T1 senza mdc|T1 sem contraste|T1 zonder contrast|T1 utan kontrast|T1 PreGd|Sag T1 FLAIR
t1_fl2d_tra|t1_fl3d_sag_iso|t1_vibe_tra|T1W_FFE|T1 TIR|sub-01_ses-1_T1w|3D T1|sT1W_3D_TFE|SAG 3D BRAVO
AX FSPGR|Sag MPRAGE|t1_se_sag|T1 TSE TRA POST-OP|T1 AX POSTOPERATIVE|T1 POST RT
T1 sagittal post radiation|T1 post resection|t1_tirm_tra_dark-fluid|mp2rage_sag_UNI_Images|SAG T1|T1W SE
T1 AX POST FOSSA|T1-weighted axial|T1 ohne Kontrast|T1 SE SANS IV|AXT1
"""
T2 = """
eT2W_TSE_DRIVE_HR|Ax FRFSE T2|B Ax T2|t2_tra_tse_320_4mm|AX T2|T2W_TSE|T2 TSE ax|T2 SPACE|CUBE T2
T2 VISTA|Ax T2 FRFSE|t2_spc_sag_p2_iso|AXIAL T2 FSE|T2 TRA|TSE T2|T2 post gad|T2 BLADE|Ax T2 PROPELLER
T2 FS TRA|sub-01_T2w|T2W/TSE|T2_tse_cor_448|T2 AX post op|AXT2|T2 Axial 3mm
"""
FLAIR = """
eFLAIR_longTR_SPIR|T2 FLAIR 3D SAG 1.25 FS|Ax T2 FLAIR ASSET|T2-FLAIR|Flair postop|WIP AX T2 FLAIR MVXD
B AX T2 FLAIR|FLAIR|t2_tirm_tra_dark-fluid|t2_spc_da-fl_sag|t2_space_da-fl_iso|FLAIR 3D|T2W_FLAIR
Sag 3D FLAIR|CUBE FLAIR|3D VISTA FLAIR|FLAIR longTR|AX FLAIR FS|flair cor|FLAIR post gad|FLAIR KM
IR FLAIR|T2 dunkle Flüssigkeit|3D BrainVIEW FLAIR|sub-01_FLAIR|T2 FLAIR SPACE|AX FLAIR PROPELLER|AXFLAIR
FLAIR_AX_T2|Flair tra 4mm|SAG T2 FLAIR CUBE FS
"""
NONE = """
DIFFUSION EPI 3bTRACEWDFC|AX DIFUSION B 1500|3Plane Loc SSFSE|Ax SWAN|3D ASL|B Ax DWI ASSET|eSTIR_longTE
dDW_SSh ADC|eDW_SSh SENSE|DTI_RL_ColFA|MobiView|VEN_BOLD|gre_field_mapping 3mm|ADC|dADC|eADC Map
Apparent Diffusion Coefficient (mm2/s)|DWI|ep2d_diff_3scan_trace|DWI b1000|DIFUSION AX|Diffusione
DTI 32 dir|FA|ColFA|TENSOR|Average DC|Fractional Aniso.|perfusion|DSC|PWI|ep2d_perf|relCBV|rCBF|MTT|TTP
Tmax|ktrans|DCE T1 perm|ASL|SWI_Images|SWAN|mIP_Images(SW)|Pha_Images|Mag_Images|venBOLD|T1_SUB
SUBTRACTION|Sub: T1|Subtraktion|T1 Sustracción|Soustraction T1 gado|T1 sottrazione|localizer|3-Plane Loc
LOCALIZADOR|Localisateur|Lokalisator|Übersicht|AAHead_Scout|SURVEY|Smart Brain|Calibration|ASSET CAL
Ref Scan|B1 map|gre_field_mapping|T2* GRE|T2 EG|T2_FFE|t2_fl2d_tra_hemo|MEDIC|TOF_3D_multi-slab|MRA COW
venography|phase contrast|MRS|SVS_SE_30|CSI PRESS|fMRI motor|BOLD|T1 map|T2 Mapping|Screen Save
Key Images|Processed Images|T1 MIP|STIR cor|DIR 3D SPACE|PSIR|T1 spine sag|T2 sag HWS|T1 C-spine KM
T2 LWS|orbits T1 fs KM|T2 IAC FIESTA|CISS 3D|T1 dynamic pituitary|TWIST|mp2rage_INV1|mp2rage_INV2
t1_lesion_mask|sub-01_T1w_seg|T1 neck|PD TSE|APTw|QSM|T1 vibe dixon fat|Perfusion T1 dyn|cine|flow
"""
NAMES = {"t1c": T1C, "t1": T1, "t2": T2, "flair": FLAIR, None: NONE}
ALL = [
    (role, name)
    for role, names in NAMES.items()
    for line in names.split("\n")
    for name in line.split("|")
    if name
]


@pytest.mark.parametrize("role", NAMES)
def test_names_from_hospitals_tell_the_role(role: str | None) -> None:
    guesses = {name: guess(SeriesFacts("x", texts=(name,))) for wanted, name in ALL if wanted == role}
    assert len(guesses) >= 20
    wrong = {name: one for name, one in guesses.items() if one.role != role}
    assert not wrong
    unsure = {name: one for name, one in guesses.items() if role and one.confidence < SURE}
    assert not unsure
    assert all(one.reason for one in guesses.values())
