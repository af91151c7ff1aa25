"""Names that import on first use: where they cannot, looking at them is safe, and using them says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# What a process does that only looks, for each kind of look.
LOOKS = {
    "getattr": "getattr(package, name, None)",
    "hasattr": "assert hasattr(package, name)",
    "getmembers": "import inspect; assert name in dict(inspect.getmembers(package))",
    "import *": "exec(f'from {package.__name__} import *'); assert name in vars()",
    "help": "import pydoc; assert f'class {name}' in pydoc.plain(pydoc.render_doc(package))",
}
EXPORTER = "import gangplank as package; name = 'TrainTestExporter'"
CONTRACT = "import gangplank.testing as package; name = 'AdapterContract'"


def python(program: str, *path: Path) -> str:
    """Run a program with these folders in front of its path; return what it prints."""
    program = "\n".join([f"import sys; sys.path[:0] = {[str(folder) for folder in path]}", program])
    done = subprocess.run([sys.executable, "-Werror", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(("what", "missing"), [(EXPORTER, "keras"), (CONTRACT, "pytest")])
def test_looking_at_a_name_that_cannot_be_imported_raises_nothing(look: str, what: str, missing: str) -> None:
    python(f"sys.modules[{missing!r}] = None\n{what}\n{LOOKS[look]}")


def test_without_keras_the_exporter_says_what_to_install_when_it_is_constructed() -> None:
    said = python(
        "sys.modules['keras'] = None\n"
        "import gangplank\n"
        "class Mine(gangplank.TrainTestExporter): pass\n"
        "for exporter in gangplank.TrainTestExporter, Mine:\n"
        "    try: exporter('127.0.0.1:9091', job='digits')\n"
        "    except gangplank.MissingExtraError as error: print(error)"
    )
    assert len(set(said.splitlines())) == 1
    assert "there is no module 'keras'" in said
    assert 'pip install ".[tensorflow]"' in said


@pytest.mark.parametrize("adapter", ["keras", "lightning"])
def test_a_missing_module_of_somebody_elses_is_told_as_it_is(adapter: str, tmp_path: Path) -> None:
    (tmp_path / f"{adapter}.py").write_text("import not_there_at_all\n")
    (tmp_path / "pytorch_lightning.py").write_text("import not_there_at_all\n")
    said = python(
        f"try: import gangplank.{adapter}\nexcept ImportError as error: print(type(error).__name__, error)", tmp_path
    )
    assert said == "ModuleNotFoundError No module named 'not_there_at_all'\n"


def test_one_of_lightnings_packages_that_is_broken_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "pytorch_lightning.py").write_text("import not_there_at_all\n")
    said = python(
        "sys.modules['lightning'] = None\n"
        "try: import gangplank.lightning\nexcept ImportError as error: print(type(error).__name__, error)",
        tmp_path,
    )
    assert said == "ModuleNotFoundError No module named 'not_there_at_all'\n"


def test_a_framework_that_breaks_at_import_is_told_of_when_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("raise TypeError('Descriptors cannot be created directly')\n")
    said = python(
        "import gangplank\n"
        "exporter = gangplank.TrainTestExporter\n"
        "try: exporter('127.0.0.1:9091', 'digits')\n"
        "except TypeError as error: print(error)",
        tmp_path,
    )
    assert said == "Descriptors cannot be created directly\n"


def test_a_process_of_lightning_gets_no_keras_by_being_looked_at(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "pytorch_lightning.py").touch()
    said = python(
        "import gangplank, pytorch_lightning\n"
        "exporter = gangplank.TrainTestExporter\n"
        "try: exporter('127.0.0.1:9091', 'digits')\n"
        "except gangplank.ConfigurationError as error: print(error)",
        tmp_path,
    )
    assert "gangplank.lightning.TrainTestExporter" in said
    assert "import keras before" in said
