"""A stand-in for PythonSlicer: a launcher that spawns a child, which plays the command."""

import stat
import sys
import textwrap
from pathlib import Path

import numpy as np

LAUNCHER = """\
#!{python}
import subprocess, sys
sys.exit(subprocess.run([{python!r}, {command!r}, *sys.argv[1:]]).returncode)
"""

COMMAND = '''\
"""Plays `gliomaseg segment`: behaves as BEHAVIOUR says."""
import json, os, sys, time
from pathlib import Path

options = dict(zip(sys.argv[5::2], sys.argv[6::2]))
assert sys.argv[1:5] == ["-u", "-m", "GliomaSegLib", "segment"], sys.argv

def tell(stage, fraction, message="", **more):
    print(json.dumps({"stage": stage, "fraction": fraction, "message": message, **more}), flush=True)

def finish(labels=None):
    import numpy as np, SimpleITK as sitk
    image = sitk.ReadImage(options["--" + options["--reference"]])
    array = np.zeros(sitk.GetArrayFromImage(image).shape, np.uint8)
    array[2:6, 2:8, 2:9] = 2
    array[3:5, 3:6, 3:6] = 4
    array[3, 4, 6:8] = 4
    made = sitk.GetImageFromArray(array)
    made.CopyInformation(image)
    folder = Path(options["--output"])
    folder.mkdir()
    sitk.WriteImage(made, str(folder / "segmentation.nii.gz"))
    (folder / "run.json").write_text(json.dumps({"warnings": ["A warning of the run."]}))

BEHAVIOUR = "@BEHAVIOUR@"
tell("start", 0.0, pid=os.getpid())
if BEHAVIOUR == "good":
    tell("intake", 0.2, "reading")
    print("a library talks", file=sys.stderr)
    tell("network", 0.7, "window 1 of 1")
    finish()
    tell("done", 1.0)
elif BEHAVIOUR == "polite":
    while not Path(options["--cancel-file"]).exists():
        tell("network", 0.5)
        time.sleep(0.02)
    sys.exit(130)
elif BEHAVIOUR == "deaf":
    tell("network", 0.5)
    time.sleep(60)
elif BEHAVIOUR == "refuses":
    sentence = "t1.nrrd is constant: load the right series."
    print(json.dumps({"stage": "error", "message": sentence, "exit_code": 3}), flush=True)
    print(sentence, file=sys.stderr)
    sys.exit(3)
elif BEHAVIOUR.startswith("wants "):
    package = BEHAVIOUR.split()[1]
    if Path(__file__).with_name("installed").exists():
        finish()
    else:
        skull = "Finding the brain in scans that show the skull"
        what = skull if package == "deepbet" else "The model theirs"
        sentence = f"{what} needs the package {package}: install it."
        print(json.dumps({"stage": "error", "message": sentence, "exit_code": 2}), flush=True)
        sys.exit(2)
elif BEHAVIOUR == "crashes":
    os.abort()
elif BEHAVIOUR == "speechless":
    print("Traceback and so on", file=sys.stderr)
    sys.exit(1)
'''


def expected_labels(shape: tuple[int, ...]) -> np.ndarray:
    """The label map (z, y, x) that a good run of the played command writes."""
    labels = np.zeros(shape, np.uint8)
    labels[2:6, 2:8, 2:9] = 2
    labels[3:5, 3:6, 3:6] = 4
    labels[3, 4, 6:8] = 4
    return labels


def launcher(folder: Path, behaviour: str) -> str:
    """Path of an executable that plays PythonSlicer with a child that behaves so."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "command.py"
    command.write_text(COMMAND.replace("@BEHAVIOUR@", behaviour), encoding="utf-8")
    program = folder / "PythonSlicer"
    program.write_text(textwrap.dedent(LAUNCHER).format(python=sys.executable, command=str(command)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)
