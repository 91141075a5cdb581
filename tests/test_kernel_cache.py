"""Compiled kernels never outlive the sources they were compiled from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import processing
from processing.kernel_cache import choose_kernel_cache, drop_old_kernels, sources_digest

CALL = "from processing.geometry.caller import twice_of; print(twice_of(3.0), end='')"


def _copied_package(folder: Path) -> Path:
    """A Qyran whose geometry holds one kernel that calls another module's."""
    source = Path(processing.__file__).parent
    package = folder / "processing"
    (package / "geometry").mkdir(parents=True)
    for name in ("__init__.py", "kernel_cache.py"):
        shutil.copy(source / name, package / name)
    (package / "geometry" / "__init__.py").touch()
    kernel = "from numba import njit\n{imports}\n@njit(cache=True)\ndef {name}(x):\n    return {body}\n"
    (package / "geometry" / "caller.py").write_text(
        kernel.format(imports="from processing.geometry.called import of", name="twice_of", body="2.0 * of(x)")
    )
    (package / "geometry" / "called.py").write_text(kernel.format(imports="", name="of", body="x"))
    return package


def _run(folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", CALL], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_kernel_follows_a_change_in_a_module_it_calls(tmp_path: Path) -> None:
    called = _copied_package(tmp_path) / "geometry" / "called.py"
    assert _run(tmp_path) == "6.0"
    called.write_text(called.read_text().replace("return x", "return x + 1.0"))
    assert _run(tmp_path) == "8.0"


def test_the_cache_is_named_by_the_sources_and_chosen_once(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    first = choose_kernel_cache()
    assert first == choose_kernel_cache() == tmp_path / f"qyran-kernels-{sources_digest()}"


def test_only_what_other_sources_made_is_dropped(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    current = choose_kernel_cache()
    for folder in (current, tmp_path / "qyran-kernels-0000", tmp_path / "others"):
        folder.mkdir()
    drop_old_kernels()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([current.name, "others"])
