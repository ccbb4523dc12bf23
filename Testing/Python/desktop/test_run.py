"""A run ends well, badly or by cancelling, and never leaves a process or a file behind."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer.util
from fakes import launcher
from standins.application import timer_wait
from standins.proxy import lost

from GliomaSegLib.desktop.process import (
    PACKAGE_PARENT,
    QtProcessRunner,
    child_environment,
    end_process,
    python_program,
)
from GliomaSegLib.desktop.progress import parse
from GliomaSegLib.desktop.run import Listener, Request, SegmentationRun
from GliomaSegLib.errors import InputRefused
from GliomaSegLib.output_folder import process_is_alive


@dataclass
class Story:
    """What a listener heard."""

    progress: list = field(default_factory=list)
    log: list = field(default_factory=list)
    ends: list = field(default_factory=list)

    def listener(self) -> Listener:
        def done(_request, folder):
            labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "segmentation.nii.gz")))
            self.ends.append(("done", int((labels > 0).sum())))

        return Listener(
            self.progress.append,
            self.log.append,
            done,
            lambda sentence: self.ends.append(("failed", sentence)),
            lambda: self.ends.append(("cancelled",)),
        )


def _request() -> Request:
    rng = np.random.default_rng(0)
    volumes = {
        role: slicer.util.addVolumeFromArray(rng.normal(100, 20, (8, 9, 10)).astype(np.float32), name=role)
        for role in ("t1", "t1c", "t2", "flair")
    }
    return Request(volumes, "t1c")


def _wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        timer_wait(10)


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        return "State:\tZ" not in status.read_text()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def start(desktop, tmp_path):
    """Start a run with a child that behaves in some way: gives the story, the run and the work folder."""

    def begin(behaviour, folder="work", grace_ms=200):
        story, work = Story(), tmp_path / folder
        runner = QtProcessRunner(launcher(tmp_path / "bin", behaviour))
        run = SegmentationRun(runner, story.listener(), grace_ms=grace_ms, parent_folder=str(work))
        run.start(_request())
        return story, run, work

    return begin


def test_a_good_run_tells_its_progress_and_leaves_nothing(start):
    story, run, work = start("good")
    assert run.running
    _wait(lambda: story.ends)
    assert story.ends == [("done", 168)]
    assert [told.stage for told in story.progress] == ["start", "intake", "network", "done"]
    assert story.log == ["a library talks"]
    assert not run.running and list(work.iterdir()) == []


@pytest.mark.parametrize(
    "folder", ["Пациент Ünïcode 脑", "/".join(["a" * 60] * 4)], ids=["non-ASCII", "long"]
)
def test_odd_paths_work(start, folder):
    story, _run, work = start("good", folder)
    _wait(lambda: story.ends)
    assert story.ends == [("done", 168)]
    assert list(work.iterdir()) == []


def test_a_polite_child_stops_at_the_cancel_file(start):
    story, run, work = start("polite", grace_ms=60_000)
    _wait(lambda: any(told.stage == "network" for told in story.progress))
    pid = story.progress[0].pid
    run.cancel()
    _wait(lambda: story.ends)
    assert story.ends == [("cancelled",)]
    assert not _alive(pid) and list(work.iterdir()) == []


def test_a_deaf_child_is_ended_with_its_launcher(start):
    story, run, work = start("deaf")
    _wait(lambda: any(told.stage == "network" for told in story.progress))
    pid = story.progress[0].pid
    run.cancel()
    run.cancel()
    _wait(lambda: story.ends)
    assert story.ends == [("cancelled",)]
    _wait(lambda: not _alive(pid))
    assert list(work.iterdir()) == []


def test_abandoning_ends_the_child_at_once(start):
    story, run, work = start("deaf", grace_ms=60_000)
    _wait(lambda: any(told.stage == "network" for told in story.progress))
    pid = story.progress[0].pid
    run.abandon()
    assert story.ends == [("cancelled",)], "Slicer may be closing: nothing is left for later"
    assert list(work.iterdir()) == []
    _wait(lambda: not _alive(pid))


def test_a_process_is_ended_with_all_that_it_started():
    script = "import subprocess, sys; sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    script += "p = subprocess.Popen(sleep); "
    parent = subprocess.Popen(
        [sys.executable, "-c", script + "print(p.pid, flush=True); p.wait()"],
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    assert process_is_alive(child) and process_is_alive(parent.pid)
    end_process(parent.pid)
    parent.wait(timeout=20)
    parent.stdout.close()
    _wait(lambda: not _alive(child))
    end_process(parent.pid)


def test_a_refusal_is_handed_on_as_its_sentence(start):
    story, _run, work = start("refuses")
    _wait(lambda: story.ends)
    assert story.ends == [("failed", "t1 is constant: load the right series.")]
    assert list(work.iterdir()) == []


def test_a_crash_is_told_in_words(start):
    story, _run, work = start("crashes")
    _wait(lambda: story.ends)
    assert story.ends[0][0] == "failed"
    assert "(code " in story.ends[0][1] or "unexpectedly" in story.ends[0][1]
    assert list(work.iterdir()) == []


def test_a_failure_without_words_points_to_the_log(start):
    story, _run, _work = start("speechless")
    _wait(lambda: story.ends)
    assert story.ends == [("failed", "The segmentation failed (code 1): see the log below.")]
    assert story.log == ["Traceback and so on"]


def test_a_program_that_does_not_exist_is_told_in_words(desktop, tmp_path):
    story = Story()
    runner = QtProcessRunner(str(tmp_path / "no such program"))
    run = SegmentationRun(runner, story.listener(), parent_folder=str(tmp_path / "work"))
    run.start(_request())
    _wait(lambda: story.ends)
    assert "could not be started" in story.ends[0][1]
    assert not run.running and list((tmp_path / "work").iterdir()) == []


def test_an_input_that_can_not_be_written_leaves_nothing(desktop, tmp_path):
    request = _request()
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    story = Story()
    run = SegmentationRun(QtProcessRunner("x"), story.listener(), parent_folder=str(tmp_path / "work"))
    with pytest.raises(InputRefused, match="nothing holds no voxels"):
        run.start(Request({**request.volumes, "t2": empty}, "t1c"))
    assert not run.running and list((tmp_path / "work").iterdir()) == []


def test_two_runs_at_once_keep_apart(desktop, tmp_path):
    stories = []
    for index in range(2):
        story = Story()
        runner = QtProcessRunner(launcher(tmp_path / f"bin{index}", "good"))
        SegmentationRun(runner, story.listener(), parent_folder=str(tmp_path / "shared")).start(_request())
        stories.append(story)
    _wait(lambda: all(story.ends for story in stories))
    assert [story.ends for story in stories] == [[("done", 168)], [("done", 168)]]
    assert list((tmp_path / "shared").iterdir()) == []


def test_the_child_finds_the_package_and_speaks_utf_8():
    environment = child_environment({"PYTHONPATH": "/elsewhere", "HOME": "/h"})
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(PACKAGE_PARENT), "/elsewhere"]
    assert environment["PYTHONUTF8"] == "1" and environment["HOME"] == "/h"


@pytest.mark.parametrize("line", ["", "[1, 2]", "{broken", '{"other": 1}', "42"])
def test_lines_that_tell_no_progress_are_log(line):
    assert parse(line) is None


def test_a_fraction_stays_within_0_and_1():
    assert parse('{"stage": "x", "fraction": 7}').fraction == 1.0


class Recorder:
    """A process that only remembers its arguments."""

    running = False

    def start(self, arguments, on_output, on_log, on_end):
        self.arguments = list(arguments)
        on_end(1)

    def kill(self, child_pid):
        """Nothing runs."""


def _arguments(tmp_path, **more):
    recorder = Recorder()
    request = _request()
    run = SegmentationRun(recorder, Story().listener(), parent_folder=str(tmp_path))
    run.start(Request(request.volumes, "t1c", **more))
    return recorder.arguments


def test_only_what_a_person_changed_reaches_the_command(desktop, tmp_path):
    plain = _arguments(tmp_path)
    assert not {"--mirror", "--model", "--registration", "--brain-mask"} & set(plain)
    changed = _arguments(tmp_path, mirror=True, model="other", registration=False, brain="off", device="cpu")
    assert "--mirror" in changed
    pairs = dict(pairwise(changed))
    assert (pairs["--model"], pairs["--registration"], pairs["--brain-mask"]) == ("other", "off", "off")
    assert pairs["--device"] == "cpu"


def test_a_mask_of_the_persons_wins_over_looking_for_the_brain(desktop, tmp_path):
    from GliomaSegLib.desktop.scene import add_segmentation

    request = _request()
    labels = np.ones((8, 9, 10), np.uint8)
    mask = add_segmentation(labels, request.reference, "brain", "GliomaSeg 0")
    recorder = Recorder()
    run = SegmentationRun(recorder, Story().listener(), parent_folder=str(tmp_path))
    run.start(Request(request.volumes, "t1c", brain="off", brain_mask=mask))
    at = recorder.arguments.index("--brain-mask")
    assert Path(recorder.arguments[at + 1]).name == "brain.nrrd"


@pytest.mark.parametrize("program", [python_program(), "no such program"])
def test_a_process_is_not_deleted_inside_its_own_signal(program, desktop):
    """PythonQt deletes an object without a parent when Python lets go of it, and Qt then goes on in it."""
    lost.clear()
    ends = []
    runner = QtProcessRunner(program)
    runner.start(["-c", ""], print, print, ends.append)
    deadline = time.monotonic() + 20
    while not ends and time.monotonic() < deadline:
        timer_wait(20)
    assert len(ends) == 1
    assert lost == []
