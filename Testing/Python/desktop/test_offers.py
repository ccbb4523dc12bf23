"""Packages for single purposes: offered where they help, installed after a click, taken back on failure."""

import subprocess
from dataclasses import replace

import pytest
from standins.application import timer_wait
from workbench import add_volumes

from GliomaSegLib.desktop import dependencies, offers
from GliomaSegLib.desktop.dependencies import OPTIONAL, QUESTIONS
from GliomaSegLib.desktop.record import keep, recall
from GliomaSegLib.errors import missing_extra

NO_MODEL_ENGINE = "The chosen model needs {}: let it be installed, or choose another model."


def shown(bench):
    return not bench.ui.fastButton._native.isHidden()


@pytest.fixture
def slow_machine(bench):
    """A panel without OpenVINO."""
    bench.lacking = {"openvino"}
    bench.ui.advancedSection.collapsed = False
    (bench.site,) = dependencies.package_folders()
    return bench


def test_the_fast_engine_is_offered_only_where_it_is_not_there(bench):
    assert not shown(bench)
    bench.lacking = {"openvino"}
    bench.ui.advancedSection.collapsed = False
    assert shown(bench)
    bench.lacking = set()
    bench.ui.advancedSection.collapsed = True
    assert not shown(bench)


def test_the_fast_engine_is_installed_after_a_question_that_tells_its_size(slow_machine):
    installed = []

    def install(name):
        installed.append(name)
        slow_machine.lacking = set()

    slow_machine.panel.dependencies.optional = install
    slow_machine.ui.fastButton.click()
    (asked,) = slow_machine.answers.questions
    assert "OpenVINO" in asked and "0.1 GB to download" in asked
    assert installed == ["openvino"] and not shown(slow_machine)
    assert slow_machine.ui.messageLabel.text.startswith("OpenVINO is installed")


def test_who_says_no_keeps_the_machine_as_it_is(slow_machine):
    slow_machine.answers.agrees = False
    slow_machine.panel.dependencies.optional = lambda name: pytest.fail("installed without consent")
    slow_machine.ui.fastButton.click()
    assert shown(slow_machine) and slow_machine.ui.messageLabel.text == ""
    assert slow_machine.answers.errors == []


def test_an_installation_of_the_fast_engine_that_fails_is_taken_back(slow_machine):
    def broken(name):
        (slow_machine.site / name).mkdir()
        raise subprocess.CalledProcessError(1, "pip")

    slow_machine.panel.dependencies.optional = broken
    slow_machine.ui.fastButton.click()
    assert slow_machine.answers.errors == ["The packages could not be installed; Slicer is as it was."]
    assert list(slow_machine.site.iterdir()) == [] and shown(slow_machine)
    assert slow_machine.ui.messageLabel.text == ""


def test_the_fast_engine_comes_from_a_folder_where_there_is_no_internet(slow_machine, tmp_path):
    (tmp_path / "openvino-2026.4.1-cp312.whl").write_text("")
    slow_machine.answers.path = str(tmp_path)
    tried = []

    def offline(names, folder):
        tried.append(names)
        slow_machine.lacking = set()

    slow_machine.panel.dependencies.offline = offline
    slow_machine.ui.offlineButton.click()
    assert tried == [["openvino"]] and not shown(slow_machine)
    assert slow_machine.ui.messageLabel.text == "All packages that a run needs are installed."


@pytest.mark.parametrize("bench", ["wants onnxruntime", "wants nnunetv2"], indirect=True)
@pytest.mark.parametrize("agrees", [True, False])
def test_the_package_that_runs_a_model_is_offered_when_it_is_missing(bench, agrees, request):
    package = request.node.callspec.params["bench"].split()[1]
    bench.answers.agrees = agrees
    bench.without(package)
    bench.choose(add_volumes())
    bench.click_run()
    bench.wait(lambda: bench.answers.questions)
    bench.wait(lambda: not bench.panel.run.running)
    (asked,) = bench.answers.questions
    assert f"package {package}" in asked and "GB" in asked
    assert (bench.state.result is not None) is agrees
    assert bench.ui.messageLabel.text == ("" if agrees else NO_MODEL_ENGINE.format(package))
    assert bench.answers.errors == []


@pytest.mark.parametrize("bench", ["wants onnxruntime"], indirect=True)
def test_a_package_that_only_slicer_sees_is_not_installed_over_and_over(bench):
    bench.choose(add_volumes())
    bench.run_to_end()
    bench.wait(lambda: "needs onnxruntime:" in bench.ui.messageLabel.text)
    assert bench.answers.questions == [] and not bench.panel.run.running


@pytest.mark.parametrize("name", OPTIONAL)
def test_the_commands_own_sentence_is_understood(name):
    told = str(missing_extra(name, "extra", "The model theirs"))
    assert offers._NEEDS.search(told)[1] == name and name in OPTIONAL
    assert "{name}" in QUESTIONS[name]


def test_a_sentence_about_other_packages_offers_nothing(bench):
    bench.lacking = set(OPTIONAL)
    bench.panel._failed("Reading it needs the package nibabel: install it.")
    timer_wait(50)
    assert bench.answers.questions == []


def test_a_result_says_what_ran_where_and_how_long(bench):
    bench.result_without_process(add_volumes())
    assert "\n" not in bench.ui.resultNameLabel.text, "a record of an older version tells nothing"
    node = bench.state.result
    record = replace(recall(node), seconds=5.6, device="cpu", engine="openvino 2026.4.1 float32")
    keep(node, record)
    bench.panel.results.refresh()
    assert bench.ui.resultNameLabel.text == "t1c GliomaSeg\n6 s on cpu, by openvino 2026.4.1 float32"
