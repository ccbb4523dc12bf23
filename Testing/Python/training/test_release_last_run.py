"""A last run may ship with the measured run's figures, when every word about them says whose they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from GliomaSegLib.cli import main as gliomaseg
from GliomaSegLib.errors import UsageError
from GliomaSegLib.model.network import build_network
from GliomaSegLib.model.weights import load_network, read_description
from GliomaSegLib.training.cases import SUFFIXES
from GliomaSegLib.training.config import Recipe

WriteCase = Callable[..., Path]
SEEN, HELD = "BraTS-GLI-00001-100", "BraTS-GLI-00002-100"
LAST = {"trained_on": [SEEN, HELD], "training": "The same, with every case.", "hours": 1.5}


@pytest.fixture
def last_facts(facts_file: Path) -> Path:
    """The facts file, with what is told of a last run on both cases."""
    values = yaml.safe_load(facts_file.read_text())
    source = {**values["training_data"][0], "name": f"Made up: {SEEN}"}
    last = {**LAST, "training_data": [{**source, "name": f"Made up: {SEEN} and {HELD}"}]}
    facts_file.write_text(yaml.safe_dump({**values, "training_data": [source], "last_run": last}))
    return facts_file


def write_weights(path: Path, recipe: Recipe, seed: int, favoured: int | None = None) -> Path:
    """A checkpoint with random weights that calls everything class ``favoured``, if that is given."""
    state = build_network(recipe.network, seed).state_dict()
    if favoured is not None:
        state["head.bias"][favoured] += 50
    torch.save({"recipe": json.dumps(recipe.to_dict()), "network": state}, path)
    return path


@pytest.fixture
def recipe(checkpoint: Path, tiny_recipe: Recipe) -> Recipe:
    """The recipe of ``checkpoint``."""
    return replace(tiny_recipe, input=replace(tiny_recipe.input, spacing_mm=(4.0, 4.0, 4.0)))


def test_the_last_run_ships_with_the_measured_runs_figures_and_says_so(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], recipe: Recipe, last_facts: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(release.last_run, "MOST_LOST", 1.0)
    readme, output = tmp_path / "README.md", tmp_path / "models" / "tiny"
    readme.write_text("<!-- model-numbers: here -->\n<!-- /model-numbers -->\n")
    last = write_weights(tmp_path / "last.pt", replace(recipe, validation=(), steps=9), seed=4)
    given = [*release_arguments, "--last-run", str(last), "--output", str(output), "--readme", str(readme)]
    assert release.main(given) == 0
    description = read_description(output)
    shipped = load_network(description).state_dict()
    for name, tensor in torch.load(last, weights_only=True)["network"].items():
        assert torch.allclose(shipped[name], tensor, atol=1e-3), name
    facts, run = description.facts, description.measured_run
    assert (facts["trained_on"], facts["held_out"]) == ([SEEN, HELD], [])
    assert facts["training_data"][0]["name"].endswith(HELD)
    assert (run["trained_on"], run["held_out"]) == ([SEEN], [HELD])
    assert run["weights_sha256"] != description.sha256 and run["recipes_differ_in"] == ["steps"]
    beside = run["shipped_weights_beside_it"]
    assert beside["cases"] == 2 and beside["lesion_wise_dice"]["WT"]["cases_with_it"] == 2
    measured = json.loads((tmp_path / "work" / "tiny" / "last-run" / "model" / "model.json").read_text())
    assert description.temperature == measured["temperature"]
    assert {entry["measured_with"] for entry in facts["scores"]} == {release.last_run.NOT_SHIPPED}
    assert facts["without"]["measured_on"].endswith(release.last_run.NOT_SHIPPED)
    assert facts["inference"]["window_agreement"]["measured_with"] == release.last_run.NOT_SHIPPED
    _check_words(output, readme)
    assert gliomaseg(["models", "info", str(output)]) == 0
    told = capsys.readouterr().out
    assert "of a held-out run and not of these weights" in told and f"held out: {HELD}" in told
    _check_benchmarks(output, tmp_path / "data", tmp_path)
    assert release.main([str(output), *release_arguments[1:]]) == UsageError.exit_code
    assert "held-out run" in capsys.readouterr().err


def _check_words(output: Path, readme: Path) -> None:
    card = (output / "MODEL_CARD.md").read_text()
    told = [
        "**Two runs.**",
        f"trained on {SEEN}. Shipped: the last run, trained on these and on {HELD}",
        "by a recipe that differs in steps, as the checkpoints tell",
        "No figure of the shipped weights on a real case that they have not seen exists",
        f"Real cases of the shipped weights: {SEEN}, {HELD}.",
        f"Made up: {SEEN} and {HELD}",
        "not the shipped ones",
        "The same, with every case. Hours of training: 1.5.",
        "| WT | 2 of 2 |",
    ]
    assert [words for words in told if words not in card] == []
    assert "these very weights" not in card and "$" not in card
    assert card.index("**Two runs.**") < card.index("| set | cases | region |")
    row = (output / "HISTORY.md").read_text().splitlines()[-1]
    assert "shipped: a last run on all 2 cases (1.5 h" in row
    block = readme.read_text()
    assert "figures of a held-out run" in block and HELD in block
    assert "none of it seen by the held-out run" in block and "seen in training" not in block


def test_what_checkpoints_cannot_tell_is_taken_from_the_facts(release: SimpleNamespace) -> None:
    facts = release.facts.LastRun((SEEN,), "As it was.", 1.0, (), ("its start", "its steps"))
    shipped = release.last_run.Shipped(facts, 2, {}, None)
    told = "by the same recipe, but for its start, its steps, as those who trained them say"
    assert release.last_run._recipe(shipped) == told
    assert release.last_run._differs(shipped) == ["its start", "its steps"]
    silent = replace(shipped, facts=replace(facts, differs=()))
    assert release.last_run._differs(silent) is None
    assert release.last_run._recipe(silent).startswith("by the same recipe and number of steps;")


def _check_benchmarks(model: Path, data: Path, folder: Path) -> None:
    """Every case of the last run counts as seen; sets that need a held-out brain are left out."""
    import bench_model

    jobs = bench_model.real_jobs(data, str(model), folder)
    assert len(jobs) == 2 and all(job.seen for job in jobs)
    description = read_description(model)
    brain, seen = bench_model.brain_for(data, description)
    assert (brain, seen) == (None, False)
    counts = bench_model.Counts(1, 1, 1)
    made = bench_model.simulated_jobs(folder / "c", counts, data, brain, str(model), folder, seen)
    assert [(job.group, job.seen) for job in made] == [(bench_model.SIMULATED, False)]
    assert "what was memorised" in bench_model.about(description)


def test_a_broken_last_run_is_refused_and_the_old_model_stays(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], recipe: Recipe, last_facts: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    good = write_weights(tmp_path / "good.pt", recipe, seed=3, favoured=2)
    broken = write_weights(tmp_path / "broken.pt", recipe, seed=4, favoured=0)
    output = tmp_path / "old"
    output.mkdir()
    (output / "model.json").write_text("the old one")
    given = [str(good), *release_arguments[1:], "--last-run", str(broken), "--output", str(output)]
    assert release.main([*given, "--phantoms", "1", "--without-sequence", "0"]) == UsageError.exit_code
    assert "worse than the measured one on 1 simulated cases" in capsys.readouterr().err
    assert [path.name for path in output.iterdir()] == ["model.json"]
    assert (output / "model.json").read_text() == "the old one"


def test_a_last_run_that_can_not_ship_is_refused_before_anything_is_measured(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], recipe: Recipe, facts_file: Path,
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(release.steps.Release, "run", lambda self: pytest.fail("something was measured"))
    other = write_weights(tmp_path / "last.pt", recipe, seed=4)

    def refused(path: Path, *more: str) -> str:
        code = release.main([*release_arguments, "--last-run", str(path), *more])
        assert code == UsageError.exit_code
        return capsys.readouterr().err

    assert "needs last_run in the facts file" in refused(other)
    values = yaml.safe_load(facts_file.read_text())
    sources = [{**values["training_data"][0], "name": f"Made up: {SEEN}, {HELD}"}]
    facts_file.write_text(yaml.safe_dump({**values, "training_data": sources, "last_run": LAST}))
    assert "at least 1" in refused(other, "--phantoms", "0")
    assert "no checkpoint none.pt" in refused(tmp_path / "none.pt")
    assert "the measured run's own" in refused(checkpoint)
    wide = replace(recipe, network=replace(recipe.network, width=8))
    assert "another network" in refused(write_weights(tmp_path / "wide.pt", wide, seed=4))
    fine = replace(recipe, input=replace(recipe.input, spacing_mm=(2.0, 2.0, 2.0)))
    assert "another network or input" in refused(write_weights(tmp_path / "fine.pt", fine, seed=4))
    plain = build_network(wide.network, 4).state_dict()
    torch.save(plain, tmp_path / "plain.pt")
    assert "do not fit the network of the measured run" in refused(tmp_path / "plain.pt")
    state = build_network(recipe.network, 4).state_dict()
    state["head.bias"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pt")
    assert "NaN" in refused(tmp_path / "nan.pt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("every case", "must hold trained_on, training, hours"),
        ({"training": ""}, "lacks training"),
        ({"steps": 5}, "unknown steps"),
        ({"trained_on": [HELD]}, f"leaves out {SEEN}"),
        ({"trained_on": [SEEN]}, "adds no case"),
        ({"trained_on": [SEEN, HELD, "patient19"]}, "names no source of patient19"),
        ({"hours": "two"}, "number of hours"),
        ({"training_data": [{"name": HELD, "use": "x", "licence": "", "citation": "z"}]}, "lacks licence"),
    ],
)
def test_a_last_run_that_is_told_wrongly_is_refused(
    release: SimpleNamespace, last_facts: Path, change: dict[str, object] | str, told: str
) -> None:
    values = yaml.safe_load(last_facts.read_text())
    values["last_run"] = {**values["last_run"], **change} if isinstance(change, dict) else change
    last_facts.write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError, match=told):
        release.facts.read_facts(last_facts)


def test_scores_in_a_brain_that_the_last_run_was_trained_on_are_marked(
    tmp_path: Path, release: SimpleNamespace, write_case: WriteCase, tiny_model: Path
) -> None:
    import bench_model
    from bench_scored import case_table, summary_table

    folder = write_case(tmp_path / "data", "patient19", labels=())
    for key, suffix in SUFFIXES["brats2024"].items():
        new = "ms_lesions" if key == "labels" else key
        (folder / f"patient19{suffix}.nii.gz").rename(folder / f"{new}.nii.gz")
    told = json.loads((tiny_model / "model.json").read_text())
    measured = {"trained_on": [], "held_out": ["patient19"]}
    for changes, expected in (
        ({}, (None, False)),
        ({"trained_on": [SEEN], "held_out": ["patient19"]}, (folder, False)),
        ({"trained_on": ["patient19"], "held_out": [], "measured_run": measured}, (folder, True)),
    ):
        (tiny_model / "model.json").write_text(json.dumps({**told, **changes}))
        assert bench_model.brain_for(tmp_path / "data", read_description(tiny_model)) == expected
    case = bench_model.find_cases([write_case(tmp_path / "phantom", SEEN, labels=(2,)).parent])[0]
    job = bench_model.Job(case, bench_model.IN_REAL_BRAIN, False, str(tiny_model), tmp_path / "out")
    assert not bench_model.run_job(job).seen
    kept = bench_model.run_job(replace(job, seen=True))
    assert kept.seen, "an earlier result tells of an earlier model.json"
    assert "second renderer), in a brain it was trained on |" in case_table([kept])
    assert "second renderer), in a brain it was trained on | 1 | WT" in summary_table([kept])
