"""The build: the Python package, with the sources of the CUDA kernels, and the compiled modules that are asked for.

A plain installation compiles nothing: the emulator compiles what is used, `tinymed build cuda` the GPU's module.
TINYMED_CUDA=1 and TINYMED_EMULATED=1 compile a module with the package; one that cannot be built is an error.  A
developer's `python setup.py build_ext --inplace` compiles what this machine has the tools for but what is set to 0;
what is missing is told, and `tinymed doctor` shows why.  TINYMED_CUDA_ARCH, TINYMED_LADDERS: see tinymed/cuda/build.py.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import setuptools
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

if int(setuptools.__version__.partition(".")[0]) < 77:  # older ones do not read this pyproject.toml
    sys.exit(
        f"tinymed: building needs setuptools 77 or newer, and this is {setuptools.__version__}; "
        "upgrade it first: python -m pip install --upgrade 'setuptools>=77' 'pybind11>=3'"
    )
ROOT = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("tinymed_build", ROOT / "tinymed" / "cuda" / "build.py")
build = importlib.util.module_from_spec(spec)  # by path: importing tinymed would need NumPy
spec.loader.exec_module(build)


class Build(build_ext):
    """Compiles what can be compiled here and writes down what was not and why."""

    def run(self):
        self.record = {}
        super().run()
        if self.extensions:
            target = Path(self.get_ext_fullpath(self.extensions[0].name)).with_name(build.RECORD)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(self.record, indent=1))

    def build_extension(self, ext):
        module = ext.name.rpartition(".")[2]
        switch = os.environ.get(build.MODULES[module], "")
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        asked = switch == "1" or (not switch and "build_ext" in sys.argv)
        why = f"{build.MODULES[module]}={switch}" if switch else "a plain installation compiles none"
        self.record[module] = note = {"built": False, "why": why, "log": ""}
        target.unlink(missing_ok=True)  # an older build of other sources
        if not asked:
            return
        try:
            note["log"] = build.build(module, ROOT / "csrc", Path(self.build_temp).resolve(), target)
            note.update(built=True, why="")
        except (build.Absent, build.Failed) as error:
            if switch == "1":
                raise RuntimeError(f"{build.MODULES[module]}=1, but {module} cannot be built: {error}") from error
            why, _, log = str(error).partition("\n")
            note.update(why=why, log=log)
            print(f"tinymed: built without {module} (nothing else is affected): {why}", file=sys.stderr)


csrc = ["csrc", *(f"csrc.{folder.name}" for folder in sorted(build.CSRC.iterdir()) if folder.is_dir())]
setup(
    # The sources of the kernels lie inside the installed package: `show`, `ladder` and `puzzle` read and compile them.
    packages=[*find_packages(include=["tinymed", "tinymed.*"]), *(f"tinymed.{package}" for package in csrc)],
    package_dir={f"tinymed.{package}": package.replace(".", "/") for package in csrc},
    package_data={f"tinymed.{package}": ["*"] for package in csrc},
    ext_modules=[Extension(f"tinymed.{module}", [], optional=True) for module in build.MODULES],
    cmdclass={"build_ext": Build},
)
