"""Weights from a last run: what is quoted of them is said to be another run's."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import write_tiny_model

from GliomaSegLib.cli import main
from GliomaSegLib.model.ensemble import described_together
from GliomaSegLib.model.weights import read_description
from GliomaSegLib.run_record import cost_of_missing

RUN = {"about": "Scores are a held-out run's.", "trained_on": ["a"], "held_out": ["b"]}
WITHOUT = {"flair": {"WT": -0.4}}


def test_a_warning_says_whose_measurement_it_quotes(tmp_path: Path) -> None:
    old = read_description(write_tiny_model(tmp_path / "old", without=WITHOUT))
    last = read_description(write_tiny_model(tmp_path / "last", without=WITHOUT, measured_run=RUN))
    assert old.measured_run == {} and last.measured_run == RUN
    assert cost_of_missing(old, "flair").endswith("on the scans of its model card.")
    assert cost_of_missing(last, "flair").endswith("model card, measured with its held-out run.")
    both = described_together([old, last])
    assert both.measured_run == RUN and "held-out run" in cost_of_missing(both, "flair")


@pytest.mark.parametrize("told", [None, "a run", [1], {}])
def test_what_is_no_run_is_none(tmp_path: Path, told: object) -> None:
    folder = write_tiny_model(tmp_path / "odd", measured_run=told)
    assert read_description(folder).measured_run == {}
    assert main(["models", "info", str(folder)]) == 0


def test_info_tells_the_scores_from_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "info", str(write_tiny_model(tmp_path / "old"))]) == 0
    assert "held-out run" not in capsys.readouterr().out
    assert main(["models", "info", str(write_tiny_model(tmp_path / "last", measured_run=RUN))]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "measured scores: 0, of a held-out run and not of these weights" in told[-4]
    assert told[-3:] == [
        "held-out run, what it is: Scores are a held-out run's.",
        "held-out run, trained on: a",
        "held-out run, held out: b",
    ]
