"""A checkpoint becomes a bundled model whose card quotes what was measured, and nothing half-done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from samples import CHECKOUT

from GliomaSegLib.errors import UsageError
from GliomaSegLib.model.network import build_network
from GliomaSegLib.model.weights import load_network, read_description
from GliomaSegLib.training.config import Recipe

pytest.importorskip("matplotlib", reason="failures are drawn with matplotlib (the extra train)")

SPACING = (4.0, 4.0, 4.0)


def test_a_checkpoint_becomes_a_model_with_a_measured_card(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], checkpoint: Path
) -> None:
    output = tmp_path / "models" / "tiny"
    assert release.main([*release_arguments, "--output", str(output)]) == 0
    description = read_description(output)
    assert (description.name, description.version) == ("tiny", "9.8.7")
    assert description.input.spacing_mm == SPACING, "the input is not that of the checkpoint's recipe"
    trained = torch.load(checkpoint, weights_only=True)["network"]["head.weight"]
    assert torch.allclose(load_network(description).state_dict()["head.weight"], trained, atol=1e-3)
    entries = {(e["data"], e["seen_in_training"], e["region"]): e for e in description.facts["scores"]}
    simulated = entries["simulated post-treatment, second renderer", False, "RC"]
    assert (simulated["cases"], simulated["cases_with_it"], simulated["cases_without_it"]) == (2, 1, 1)
    assert set(description.facts["without"]) == {"measured_on", "t1", "t1c", "t2", "flair"}
    assert description.mirror
    agreement = description.facts["inference"]["window_agreement"]
    assert agreement["cases"][0] == "BraTS-GLI-00002-100" and 0.5 < agreement["least"] <= 1
    card = (output / "MODEL_CARD.md").read_text()
    told = [
        "9.8.7",
        "not a medical device",
        "A gap of 42.",
        "| BraTS-GLI-00001-100 | real, seen in training |",
        "| BraTS-GLI-00002-100 | real, held out |",
        "(failures.png)",
        "It is wrong about everything.",
        "Sliding windows of 64 voxels give the label of one pass on at least",
        "(engine: ",
        "means over each scan and its mirror image",
        "CC BY 4.0",
    ]
    assert [line for line in told if line.lower() not in card.lower()] == []
    assert "$" not in card
    assert (output / "failures.png").read_bytes().startswith(b"\x89PNG")
    history = (output / "HISTORY.md").read_text().splitlines()
    assert history[-1].startswith("| 2026-01-02 | 9.8.7 | ") and history[-1].count("|") == history[-2].count(
        "|"
    )


def test_an_interrupted_release_leaves_the_old_model_and_goes_on_where_it_stopped(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench_model

    output, scored = tmp_path / "old", []
    output.mkdir()
    (output / "model.json").write_text("the old one")
    real_score = bench_model.score

    def counted(*given: object) -> object:
        if len(scored) == 3:
            raise KeyboardInterrupt
        scored.append(given)
        return real_score(*given)

    monkeypatch.setattr(bench_model, "score", counted)
    with pytest.raises(KeyboardInterrupt):
        release.main([*release_arguments, "--output", str(output)])
    assert [p.name for p in output.iterdir()] == ["model.json"]
    assert (output / "model.json").read_text() == "the old one"
    monkeypatch.setattr(bench_model, "score", lambda *given: scored.append(given) or real_score(*given))
    assert release.main([*release_arguments, "--output", str(output)]) == 0
    # 2 real and 2 simulated cases; of those, one each without each of four sequences.
    assert len(scored) == 4 + 2 * 4
    assert read_description(output).name == "tiny"


def test_weights_that_do_not_fit_and_missing_facts_are_told_in_a_sentence(
    tmp_path: Path, release: SimpleNamespace, release_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"head.weight": torch.zeros(1)}, tmp_path / "best.pt")
    assert release.main([str(tmp_path / "best.pt"), *release_arguments[1:]]) == UsageError.exit_code
    assert "best.pt" in capsys.readouterr().err
    assert release.main([*release_arguments, "--facts", str(tmp_path / "none.yaml")]) == UsageError.exit_code
    assert "none.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hours": None}, "lacks hours"),
        ({"colour": "red"}, "unknown colour"),
        ({"held_out": ["BraTS-GLI-00001-100"]}, "trained on and held out"),
        ({"training_data": [{"name": "x", "use": "y", "licence": "", "citation": "z"}]}, "lacks licence"),
        ({"smallest_ml": {"WT": 1.0}}, "smallest_ml"),
        ({"mirror": "no"}, "mirror in facts.yaml must be true or false"),
    ],
)
def test_facts_that_would_make_a_false_card_are_refused(
    release: SimpleNamespace, facts_file: Path, change: dict[str, object], told: str
) -> None:
    values = {**yaml.safe_load(facts_file.read_text()), **change}
    facts_file.write_text(yaml.safe_dump({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(UsageError, match=told):
        release.facts.read_facts(facts_file)


def test_the_shipped_facts_can_be_read(release: SimpleNamespace) -> None:
    facts = release.facts.read_facts(CHECKOUT / "Utilities" / "release" / "gliomaseg-small.yaml")
    assert facts.name == "gliomaseg-small" and facts.held_out and facts.training_data


def seen_case(
    release: SimpleNamespace, reference: np.ndarray, predicted: np.ndarray, margin: float = 4.0
) -> object:
    """What a network would see that prefers ``predicted`` by ``margin``."""
    logits = np.zeros((5, *reference.shape), np.float32)
    np.put_along_axis(logits, predicted[None].astype(np.int64), margin, axis=0)
    return release.tuning.Seen("made", logits, reference, np.ones(reference.shape, bool))


def test_tuning_removes_islands_and_leaves_what_is_right(release: SimpleNamespace) -> None:
    reference = np.zeros((24, 24, 24), np.uint8)
    reference[4:12, 4:12, 4:12] = 2
    predicted = reference.copy()
    predicted[20, 20, 18:22] = 2  # 4 voxels of 2 mm: 0.032 ml
    right = release.tuning.tuned([seen_case(release, reference, reference)], {}, 2.0)
    assert right.smallest_ml == {} and not right.offsets and not right.changed
    found = release.tuning.tuned([seen_case(release, reference, predicted)], {}, 2.0)
    assert found.changed and set(found.smallest_ml) == {"SNFH"}
    assert found.score[0] < found.score[1] == 1.0


def test_an_offset_of_the_logits_is_built_into_the_last_layer(
    release: SimpleNamespace, tiny_recipe: Recipe
) -> None:
    network = build_network(tiny_recipe.network, seed=3).eval()
    image = torch.rand(1, 4, 16, 16, 16)
    with torch.inference_mode():
        before = network(image)
        network.load_state_dict(release.tuning.with_offsets(network.state_dict(), {"RC": 0.5}))
        change = network(image) - before
    assert torch.allclose(change[:, 4], torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(change[:, :4], torch.tensor(0.0), atol=1e-5)


def test_history_and_readme_keep_everything_else(release: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "HISTORY.md").write_text(
        "# Attempts\n\n| a |\n|---|\n| first |\n\nWhat was learnt.\n\n| b |\n|---|\n"
    )
    for _ in range(2):
        release.records.add_to_history(tmp_path, "| second |\n")
    text = (tmp_path / "HISTORY.md").read_text()
    assert text == "# Attempts\n\n| a |\n|---|\n| first |\n| second |\n\nWhat was learnt.\n\n| b |\n|---|\n"
    readme = tmp_path / "README.md"
    readme.write_text("Top\n<!-- model-numbers: from the card -->\nold\n<!-- /model-numbers -->\nEnd\n")
    release.records.put_into_readme(readme, "new\n")
    assert (
        readme.read_text()
        == "Top\n<!-- model-numbers: from the card -->\nnew\n<!-- /model-numbers -->\nEnd\n"
    )
    readme.write_text("no marks")
    with pytest.raises(release.records.OutputRefused, match="marks"):
        release.records.put_into_readme(readme, "new")
