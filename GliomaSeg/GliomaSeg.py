"""The module that 3D Slicer loads. Thin: GliomaSegLib does the work, this file wires it to Slicer."""

import logging

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HELP = _("""
Outlines glioma on brain MRI before and after treatment: enhancing tissue, non-enhancing core, surrounding
FLAIR hyperintensity and the resection cavity. Choose T1, T1 with contrast, T2 and FLAIR, press
<b>Segment</b>, look, correct, export. Nothing leaves this computer.<br><br>
<b>For research. Not a medical device.</b><br><br>
<a href="https://github.com/gliomaseg/SlicerGliomaSeg">Documentation and tutorial</a>
""")


class GliomaSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Glioma Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor", "Terminologies"]
        self.parent.contributors = ["The GliomaSeg founders"]
        self.parent.helpText = HELP
        self.parent.acknowledgementText = _(
            "Labels follow the BraTS 2024 challenge on post-treatment glioma. The data that each model "
            "was trained on are cited in its card."
        )
        slicer.app.connect("startupCompleted()", offer_sample_data)
        slicer.app.connect("startupCompleted()", load_terminology)


def load_terminology():
    """Make the codes of the four structures known to Slicer."""
    from GliomaSegLib.errors import ModelRefused
    from GliomaSegLib.locations import terminology_folder

    try:
        path = terminology_folder() / "GliomaSeg.term.json"
    except ModelRefused as incomplete:
        logging.error("GliomaSeg: %s", incomplete)
        return
    slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(path))


def offer_sample_data():
    """List a public case in Slicer's Sample Data module; it is fetched only when somebody clicks it."""
    from GliomaSegLib.desktop.sample_data import register

    register()


class GliomaSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's place in Slicer's window."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        """Called once, when the module is opened first, and again after a reload."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/GliomaSeg.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = GliomaSegLogic()
        self.panel = self.makePanel()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.followScene()

    def makePanel(self):
        """The panel on the loaded widgets."""
        from GliomaSegLib.desktop.panel import Panel

        return Panel(self.ui)

    def cleanup(self):
        """Called before the widget goes: Slicer closes, or the module is reloaded."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def enter(self):
        """Called each time the module is shown."""
        self.followScene()
        self.panel.results.correct.enter()

    def exit(self):
        """Called each time another module is shown. A run goes on meanwhile, and its result is taken in."""
        self.panel.results.correct.leave()

    def onSceneStartClose(self, caller, event):
        """The state's node is about to go."""
        self.panel.scene_closes()

    def onSceneEndClose(self, caller, event):
        """A new, empty scene needs a new state."""
        self.followScene()

    def onSceneEndImport(self, caller, event):
        """A saved scene brought its own state."""
        self.followScene()

    def followScene(self):
        """Show the state that the scene holds; make one where there is none."""
        self.panel.set_state(self.logic.getParameterNode())


class GliomaSegLogic(ScriptedLoadableModuleLogic):
    """Gives the module's state as typed fields."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        """The panel's state in the scene."""
        from GliomaSegLib.desktop.parameters import PanelState

        return PanelState(super().getParameterNode())


class GliomaSegTest(ScriptedLoadableModuleTest):
    """Self-test inside Slicer. Needs no network, no PyTorch and no data."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """All self-tests."""
        from GliomaSegLib.desktop.selftest import CHECKS

        for check in CHECKS:
            self.setUp()
            check(self)
            self.delayDisplay(_("Self-test passed: {what}").format(what=check.__doc__))
        slicer.mrmlScene.Clear()
