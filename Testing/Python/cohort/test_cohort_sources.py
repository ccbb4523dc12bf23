"""What a manifest, a BIDS folder and a DICOM archive are taken for, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cohort_samples import write_volumes

from GliomaSegLib.cohort.bids import scan_bids
from GliomaSegLib.cohort.identity import content, stamp
from GliomaSegLib.cohort.manifest import read_manifest
from GliomaSegLib.cohort.plan import find_studies, listing, read_salt
from GliomaSegLib.cohort.study import PlannedStudy, RoleInput
from GliomaSegLib.errors import InputRefused, OutputRefused

HEAD = "subject,session,t1,t1c,t2,flair"


def write_lines(folder: Path, *lines: str, head: str = HEAD, encoding: str = "utf-8") -> Path:
    """A manifest with empty files for what it names."""
    folder.mkdir(exist_ok=True)
    for line in lines:
        for cell in line.replace(";", ",").split(",")[2:]:
            if cell and not cell.startswith("gone"):
                (folder / cell).parent.mkdir(parents=True, exist_ok=True)
                (folder / cell).write_bytes(b"x")
    path = folder / "manifest.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding=encoding)
    return path


def planned(manifest: Path) -> list[PlannedStudy]:
    return find_studies(manifest, None, None, None)[0]


def test_missing_cells_are_missing_sequences(tmp_path: Path) -> None:
    studies = planned(write_lines(tmp_path, "P1,1,a.nii,b.nii,,d.nii", "P2,1,,,,d.nii", "P3,1,a.nii,,,"))
    assert [set(study.series) for study in studies] == [{"t1", "t1c", "flair"}, {"flair"}, {"t1"}]
    assert [study.reference for study in studies[:2]] == ["t1c", "flair"]
    assert studies[0].series["t1"].path == tmp_path / "a.nii"
    assert studies[2].refusal == "At least T1c or FLAIR is needed, and there is T1: add one of them."


def test_one_bad_line_is_one_refusal(tmp_path: Path) -> None:
    manifest = write_lines(
        tmp_path, "P1,1,,b.nii,,", "P2,1,,gone.nii,,", ",1,,b.nii,,", "P4,1,,b.nii,,,extra", "P5,1,,b.nii"
    )
    studies = planned(manifest)
    assert [bool(study.refusal) for study in studies] == [False, True, True, True, False]
    assert "T1c does not exist" in studies[1].refusal
    assert "Line 3 has no subject" in studies[2].refusal
    assert "more cells" in studies[3].refusal


@pytest.mark.parametrize(
    ("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-8"), (",", "utf-8-sig"), (";", "utf-8-sig")]
)
def test_spreadsheets_write_it_in_several_ways(tmp_path: Path, separator: str, encoding: str) -> None:
    (tmp_path / "b é.nii").write_bytes(b"x")
    text = "\r\n".join([HEAD.upper(), "Müller 1,2021-03-01,,b é.nii,,", ",,,,,", ""])
    path = tmp_path / "m.csv"
    path.write_bytes(text.replace(",", separator).encode(encoding))
    (study,) = planned(path)
    assert study.subject == "Müller 1" and study.name == "sub-Mller1_ses-20210301"
    assert not study.refusal and study.series["t1c"].path.name == "b é.nii"


def test_odd_cells_are_odd_lines_not_the_end(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path, "P1,1,,a.nii,,")
    manifest.write_text(manifest.read_text() + "P2,1,," + "x" * 5000 + ",,\nP3,1,,.,,\n")
    studies = planned(manifest)
    assert [bool(study.refusal) for study in studies] == [False, True, False]
    manifest.write_text(manifest.read_text() + 'P4,1,,"a.nii,,\n')
    with pytest.raises(InputRefused, match="quotes"):
        planned(manifest)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"subject,session,t1,t1c,t2,flair\n", "lists no study"),
        (b"name,path\nx,y\n", "has no columns subject"),
        (b"subject,t1c,t1c\nx,y,z\n", "column t1c twice"),
        (b"subject,t1c\nM\xfcller,x\n", "is not UTF-8"),
        (b"PK\x03\x04\0\0", "is no text"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=told):
        read_manifest(path)
    with pytest.raises(InputRefused, match="no file"):
        read_manifest(tmp_path / "absent.csv")


def test_unused_columns_are_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path, "P1,1,a.nii,b.nii,,,", head="subject,session,t1,t1c,t2,flair,age")
    assert find_studies(path, None, None, None)[1] == ["Columns of manifest.csv that are not used: age."]


def test_the_same_study_twice_runs_not_even_once(tmp_path: Path) -> None:
    studies = planned(write_lines(tmp_path, "P1,1,,a.nii,,", "P1,1,,b.nii,,", "P1,2,,c.nii,,"))
    assert ["twice" in study.refusal for study in studies] == [True, True, False]


def test_names_that_would_share_a_folder(tmp_path: Path) -> None:
    studies = planned(write_lines(tmp_path, "P-1,1,,a.nii,,", "p1,1,,b.nii,,"))
    assert not studies[0].refusal
    assert "would share the folder sub-p1_ses-1 with Subject P-1, session 1" in studies[1].refusal


def test_visits_follow_numbers_and_dates_else_the_lines(tmp_path: Path) -> None:
    lines = ["A,10,,a.nii,,", "A,2,,b.nii,,", "B,pre1,,c.nii,,", "B,post2,,d.nii,,"]
    lines += ["C,2021-03-01,,e.nii,,", "C,2020-12-24,,f.nii,,"]
    assert [study.visit for study in planned(write_lines(tmp_path, *lines))] == [2, 1, 1, 2, 2, 1]


def test_hashed_names_need_the_salt_and_hide_the_rest(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path, "Doe,2021-03-01,,a.nii,,", "Doe,2020-03-01,,b.nii,,")
    first = find_studies(manifest, None, None, b"s" * 32)[0]
    assert first[0].subject == first[1].subject and first[0].session != first[1].session
    assert [study.visit for study in first] == [2, 1]
    assert not any(word in study.name for study in first for word in ("Doe", "2021", "2020"))
    assert find_studies(manifest, None, None, b"t" * 32)[0][0].subject != first[0].subject
    assert find_studies(manifest, None, None, b"s" * 32)[0][0].subject == first[0].subject


def test_the_salt_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    salt = read_salt(tmp_path / "deep" / "salt")
    assert len(salt) == 32 and read_salt(tmp_path / "deep" / "salt") == salt
    assert (tmp_path / "deep" / "salt").stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(InputRefused, match="16 bytes"):
        read_salt(tmp_path / "short")
    with pytest.raises(OutputRefused):
        read_salt(tmp_path / "short" / "deep" / "salt")
    with pytest.raises(InputRefused, match="can't be read"):
        read_salt(tmp_path)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_bids_names_tell_the_roles(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_ce-gd_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii",
        "sub-01/ses-a/anat/sub-01_ses-a_ce-gd_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.json",
        "sub-01/ses-a/anat/sub-01_ses-a_part-phase_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_PDw.nii.gz",
        "sub-01/ses-a/dwi/sub-01_ses-a_dwi.nii.gz",
        "sub-02/anat/sub-02_FLAIR.nii.gz",
        "sub-03/dwi/sub-03_dwi.nii.gz",
    )
    studies, notes = find_studies(None, root, None, None)
    assert [study.name for study in studies] == ["sub-01_ses-a", "sub-02"]
    assert {role: one.path.name for role, one in studies[0].series.items()} == {
        "t1": "sub-01_ses-a_T1w.nii.gz",
        "t1c": "sub-01_ses-a_ce-gd_T1w.nii.gz",
        "t2": "sub-01_ses-a_T2w.nii",
        "flair": "sub-01_ses-a_ce-gd_FLAIR.nii.gz",
    }
    assert studies[1].folder == Path("sub-02/anat")
    assert notes == ["1 subjects have no folder anat and were passed over."]


def test_of_two_bids_files_the_finer_wins_and_a_tie_is_refused(tmp_path: Path) -> None:
    import SimpleITK as sitk

    anatomy = tmp_path / "sub-1" / "anat"
    anatomy.mkdir(parents=True)
    for name, size in (("acq-2d_FLAIR", (64, 64, 20)), ("acq-3d_FLAIR", (64, 64, 100))):
        image = sitk.Image(size, sitk.sitkUInt8)
        image.SetSpacing((1.0, 1.0, 140 / size[2]))
        sitk.WriteImage(image, str(anatomy / f"sub-1_{name}.nii.gz"))
    (study,) = find_studies(None, tmp_path, None, None)[0]
    assert study.series["flair"].path.name == "sub-1_acq-3d_FLAIR.nii.gz"
    shutil.copy(anatomy / "sub-1_acq-3d_FLAIR.nii.gz", anatomy / "sub-1_acq-3d_run-2_FLAIR.nii.gz")
    (study,) = find_studies(None, tmp_path, None, None)[0]
    assert "a tie" in study.refusal and "run-2" in study.refusal and "manifest" in study.refusal


def test_bids_sessions_table_orders_the_visits(tmp_path: Path) -> None:
    names = [f"sub-1/ses-{s}/anat/sub-1_ses-{s}_FLAIR.nii.gz" for s in ("post", "pre")]
    root = touch(tmp_path, *names)
    assert [s.visit for s in find_studies(None, root, None, None)[0]] == [1, 2]
    (root / "sub-1" / "sub-1_sessions.tsv").write_text(
        "session_id\tacq_time\nses-pre\t2020-01-01\nses-post\t2020-06-01\n"
    )
    assert {s.session: s.visit for s in find_studies(None, root, None, None)[0]} == {"post": 2, "pre": 1}


def test_links_to_nothing_are_told_as_such(tmp_path: Path) -> None:
    anatomy = tmp_path / "sub-1" / "anat"
    anatomy.mkdir(parents=True)
    (anatomy / "sub-1_FLAIR.nii.gz").symlink_to(tmp_path / "annex" / "key")
    (study,) = find_studies(None, tmp_path, None, None)[0]
    assert "fetch them first" in study.refusal


def test_what_is_no_bids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="does not exist"):
        scan_bids(tmp_path / "absent")
    with pytest.raises(InputRefused, match=r"no sub-\*"):
        scan_bids(tmp_path)
    (tmp_path / "sub-1").mkdir()
    with pytest.raises(InputRefused, match="folder anat"):
        scan_bids(tmp_path)


def test_the_listing_says_what_would_run_and_why_not(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path, "P1,1,,a.nii,,d.nii", "P1,2,,b.nii,,", "P2,1,c.nii,,,")
    text = "\n".join(listing(*find_studies(manifest, None, None, None)))
    assert "P1, 1 (visit 1) -> sub-P1/ses-1/anat" in text
    assert "FLAIR  as the manifest says" in text and "T2     missing" in text
    assert "P2, 1: refused. At least T1c or FLAIR" in text
    assert "3 studies: 2 would run (T1 0, T1c 2, T2 0, FLAIR 1), 1 refused." in text
    assert "1 visits would be compared" in text


def test_content_follows_the_bytes_and_stamps_follow_every_write(tmp_path: Path) -> None:
    write_volumes(tmp_path / "a", 0, ("t1c", "flair"))
    inputs = {role: RoleInput(tmp_path / "a" / f"{role}.nii.gz", "") for role in ("t1c", "flair")}
    first, stamped = content(inputs), stamp(inputs)
    assert (content(inputs), stamp(inputs)) == (first, stamped)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = {role: RoleInput(tmp_path / "b" / f"{role}.nii.gz", "") for role in inputs}
    assert content(moved) == first and stamp(moved) != stamped
    swapped = {"t1c": inputs["flair"], "flair": inputs["t1c"]}
    assert content(swapped) != first
    path = inputs["t1c"].path
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    import os

    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # somebody sets the time back
    assert content(inputs) != first and stamp(inputs) != stamped


def test_paths_stay_out_of_what_engines_may_log(tmp_path: Path) -> None:
    study = PlannedStudy("P1", "1", {"t1c": RoleInput(tmp_path / "Doe_Jane.nii", "named", (tmp_path,))})
    assert "Doe" not in repr(study) and str(tmp_path) not in repr(study)
