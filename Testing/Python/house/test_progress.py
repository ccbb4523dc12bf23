"""Progress never goes back, ends at 1, and is the place where a run is stopped."""

from __future__ import annotations

import _thread
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from GliomaSegLib import progress
from GliomaSegLib.errors import Cancelled, UsageError
from GliomaSegLib.progress import Bar, JsonLines, Progress, Silent, cancelled_by_signals, renderer

STAGES = {"read": (1.0, "Reading"), "segment": (3.0, "Segmenting"), "write": (1.0, "Writing")}


class Recorder:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float, str]] = []
        self.closed = False

    def show(self, stage: str, fraction: float, message: str) -> None:
        self.shown.append((stage, fraction, message))

    def close(self) -> None:
        self.closed = True


def test_stages_take_their_share_of_the_whole() -> None:
    recorder = Recorder()
    run = Progress(STAGES, recorder)
    for stage, share in (("read", 0.5), ("read", 1.0), ("segment", 0.5), ("write", 0.0)):
        run.tick(stage, share)
    assert [f for _, f, _ in recorder.shown] == pytest.approx([0.1, 0.2, 0.5, 0.8])
    assert recorder.shown[2] == ("segment", pytest.approx(0.5), "Segmenting")


def test_the_fraction_never_goes_back_and_only_success_reaches_one() -> None:
    recorder = Recorder()
    run = Progress(STAGES, recorder)
    for stage, share in (("segment", 1.0), ("read", 0.2), ("segment", -3.0), ("write", 7.0), ("write", 1.0)):
        run.tick(stage, share)
    fractions = [f for _, f, _ in recorder.shown]
    assert fractions == sorted(fractions) and fractions[-1] < 1
    run.finish()
    run.close()
    assert recorder.shown[-1] == ("done", 1.0, "Done") and recorder.closed


def test_a_cancel_file_stops_the_run(tmp_path: Path) -> None:
    recorder = Recorder()
    run = Progress(STAGES, recorder, tmp_path / "cancel")
    run.tick("read", 1.0)
    (tmp_path / "cancel").touch()
    with pytest.raises(Cancelled) as cancelled:
        run.tick("segment", 0.1)
    assert cancelled.value.exit_code == 130 and len(recorder.shown) == 1


def test_json_lines_are_one_object_each_with_the_pid_first() -> None:
    stream = io.StringIO()
    run = Progress(STAGES, JsonLines(stream))
    run.tick("read", 1 / 3)
    run.finish("Done: written")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0]["pid"] == os.getpid() and lines[0]["fraction"] == 0
    assert lines[1] == {"stage": "read", "fraction": 0.0667, "message": "Reading"}
    assert lines[2] == {"stage": "done", "fraction": 1.0, "message": "Done: written"}


def test_the_bar_is_drawn_to_the_end() -> None:
    pytest.importorskip("tqdm", reason="the bar needs tqdm (the extra bar)")
    stream = io.StringIO()
    run = Progress(STAGES, Bar(stream))
    run.tick("segment", 0.5)
    run.finish()
    run.close()
    assert "Done" in stream.getvalue() and "100%" in stream.getvalue()


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(UsageError, match=r"needs the package tqdm: install it with .*gliomaseg\[bar\]"):
        renderer("bar")


def test_a_renderer_fits_its_mode(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(renderer("none"), Silent)
    assert isinstance(renderer("json"), JsonLines)
    assert json.loads(capsys.readouterr().out)["stage"] == "start"
    monkeypatch.setattr(progress.sys, "stderr", None)
    assert isinstance(renderer(None), Silent)
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())
    assert isinstance(renderer(None), Silent), "no person watches a stream that is no terminal"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't raise these signals in one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_cancel_inside_and_are_put_back(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(Cancelled), cancelled_by_signals():
        assert signal.getsignal(number) is not before
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_that_an_import_turns_into_its_own_error_still_cancels() -> None:
    with pytest.raises(Cancelled), cancelled_by_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            raise ImportError("the package is incomplete") from error
    with pytest.raises(ImportError), cancelled_by_signals():
        raise ImportError("the package is not there")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_in_a_finaliser_cancels_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """What is raised there, Python drops: the run would have gone on, and told of a traceback."""

    class Finalised:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    hook = sys.unraisablehook
    with pytest.raises(Cancelled), cancelled_by_signals():
        thing = Finalised()
        del thing
        time.sleep(5)
        raise AssertionError("the run went on")
    assert "Traceback" not in capsys.readouterr().err
    assert sys.unraisablehook is hook


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("signalled", [True, False])
def test_a_thread_whose_start_the_signal_interrupts_tells_no_traceback(
    monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    """Python forgets such a thread, and it then fails at its first step; without a signal that is told."""

    def start_forgotten() -> None:
        _thread.start_new_thread(threading.Thread(target=print)._bootstrap, ())  # type: ignore[attr-defined]
        time.sleep(0.2)

    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type.__name__))
    with pytest.raises(Cancelled), cancelled_by_signals():
        try:
            if signalled:
                os.kill(os.getpid(), signal.SIGTERM)
            raise Cancelled("told by somebody else")
        finally:
            start_forgotten()
    assert told == ([] if signalled else ["KeyError"])
