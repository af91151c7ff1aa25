"""Names that import on first use: where they cannot, looking at them is safe, and using them says why."""

from __future__ import annotations

import importlib.util
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
    backends = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    assert f'pip install ".[{(backends or ["tensorflow"])[0]}]"' in said


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_missing_backend_is_named_and_so_is_one_that_is_installed(backend: str, tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text(f"import {backend}\n")
    others = [name for name in ("tensorflow", "jax", "torch") if name != backend]
    for installed in ([], [others[-1]]):
        for name in installed:
            (tmp_path / f"{name}.py").touch()
        said = python(
            f"for name in {[name for name in (backend, *others) if name not in installed]}: sys.modules[name] = None\n"
            "import gangplank\n"
            "try: gangplank.TrainTestExporter('127.0.0.1:9091', 'digits')\n"
            "except gangplank.MissingExtraError as error: print(error)",
            tmp_path,
        )
        assert said.endswith(f'run pip install ".[{backend}]"\n')
        assert f"there is no module '{backend}'" in said
        assert (f". Set KERAS_BACKEND={others[-1]} to use" in said) == bool(installed)


def test_it_is_the_same_class_each_time_and_can_be_pickled() -> None:
    python(
        "sys.modules['keras'] = None\n"
        "import gangplank, pickle\n"
        "assert gangplank.TrainTestExporter is gangplank.TrainTestExporter\n"
        "assert pickle.loads(pickle.dumps(gangplank.TrainTestExporter)) is gangplank.TrainTestExporter"
    )


@pytest.mark.parametrize("adapter", ["keras", "lightning", "xgboost"])
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


@pytest.mark.parametrize("framework", ["pytorch_lightning", "torch"])
def test_a_process_of_another_framework_gets_no_keras_by_being_looked_at(framework: str, tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / f"{framework}.py").touch()
    said = python(
        "import os; os.environ.pop('KERAS_BACKEND', None)\n"
        f"import gangplank, {framework}\n"
        "exporter = gangplank.TrainTestExporter\n"
        "try: exporter('127.0.0.1:9091', 'digits')\n"
        "except gangplank.ConfigurationError as error: print(error)",
        tmp_path,
    )
    assert "gangplank.lightning and gangplank.transformers have others" in said
    assert "import keras before" in said
