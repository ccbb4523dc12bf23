"""The resources are found from a checkout, from an installed tree, and not from an incomplete one."""

from pathlib import Path

import pytest

from GliomaSegLib import locations
from GliomaSegLib.errors import ModelRefused, OutputRefused
from GliomaSegLib.model.library import remember_run

CHECKOUT = Path(__file__).resolve().parents[3]


def test_a_checkout_uses_its_own_resources():
    assert locations.resources_folder() == CHECKOUT / "Resources"
    assert locations.models_folder() == CHECKOUT / "Resources" / "Models"
    assert locations.terminology_folder() == CHECKOUT / "Resources" / "Terminology"


def test_resources_beside_the_package_win_over_a_checkout(tmp_path):
    package = tmp_path / "GliomaSeg" / "GliomaSegLib"
    (package / "resources" / "Models").mkdir(parents=True)
    (tmp_path / "Resources" / "Models").mkdir(parents=True)
    assert locations.resources_folder(package) == package / "resources"


def test_an_unrelated_resources_folder_is_not_taken(tmp_path):
    package = tmp_path / "site-packages" / "GliomaSegLib"
    package.mkdir(parents=True)
    (tmp_path / "Resources" / "Icons").mkdir(parents=True)
    with pytest.raises(ModelRefused, match="installation is incomplete"):
        locations.resources_folder(package)


def test_without_a_home_folder_the_sentence_names_the_variable_and_a_finished_run_stands(monkeypatch):
    monkeypatch.setenv(locations.MODELS_VARIABLE, "~nobody-of-this-name/models")
    with pytest.raises(OutputRefused, match=r"No home folder is known.*GLIOMASEG_MODELS"):
        locations.user_models_folder()
    assert remember_run("", {"model": {"name": "any"}}) is None
