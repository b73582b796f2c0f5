"""Who may import whom: the contracts in the root pyproject.toml allow the arrows of DESIGN.md, no other."""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

SDK = "symphony_sdk"
# What each package may import of the family; the rest of it is reached through hooks and ports.
ARROWS = {
    SDK: set(),
    "symphony_workflow": {SDK},
    "symphony_ipc": {SDK},
    "symphony_core": {SDK, "symphony_workflow"},
    "symphony_isolation": {SDK, "symphony_ipc"},
    "symphony_transports": {SDK, "symphony_ipc"},
    "symphony_host": {SDK, "symphony_core", "symphony_workflow", "symphony_ipc", "symphony_isolation"},
    "pit_artifact_store": {SDK},
    "pit_dag_tracker": {SDK, "symphony_workflow"},
    "symphony_addon_atlas": {SDK},
    "symphony_code_metrics": {SDK},
    "symphony_file_type": {SDK},
    "symphony_files": {SDK},
    "symphony_report": {SDK},
    "symphony_telemetry": {SDK},
    "symphony_text_quality": {SDK},
    "symphony_engine_dask": {SDK, "symphony_isolation"},
    "symphony_engine_ray": {SDK, "symphony_isolation"},
    "symphony_tier_objects": {SDK},
    "symphony_transport_nats": {SDK, "symphony_ipc"},
    "symphony_workflow_formats": {SDK, "symphony_workflow"},
}
KEPT_FROM_WORKERS = {"httpx", "networkx", "pydantic"}


def lint_imports(root, folder, imports):
    """Run the project's contracts on packages of nothing but these imports: (importing module, imported)."""
    shutil.copy(root / "pyproject.toml", folder)
    for package in ARROWS:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    for importer, imported in imports:
        module = folder.joinpath(*importer.split("."), f"uses_{imported}.py")
        module.parent.mkdir(exist_ok=True)
        (module.parent / "__init__.py").touch()
        module.write_text(f"import {imported}\n")
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},  # an import is on one line
        capture_output=True,
        text=True,
        check=False,
    )


def refused(result):
    """Return the imports that the contracts refused, as (importing package, imported package)."""
    return set(re.findall(r"(\w+)\.uses_\w+ -> (\w+) \(l\.1\)", result.stdout))


def test_every_member_of_the_workspace_has_its_arrows(members):
    assert {package.name for member in members for package in member.packages} == set(ARROWS)


def test_the_contracts_refuse_every_import_that_is_no_arrow(root, tmp_path):
    every = set(itertools.permutations(ARROWS, 2))
    allowed = {(importer, imported) for importer, arrows in ARROWS.items() for imported in arrows}

    result = lint_imports(root, tmp_path, every)

    assert result.returncode == 1, result.stdout + result.stderr
    assert refused(result) == every - allowed


def test_the_contracts_keep_every_arrow(root, tmp_path):
    result = lint_imports(root, tmp_path, {(importer, to) for importer in ARROWS for to in ARROWS[importer]})

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_refuse_what_a_worker_must_not_pay_for(root, tmp_path):
    result = lint_imports(root, tmp_path, {(SDK, heavy) for heavy in KEPT_FROM_WORKERS})

    assert result.returncode == 1, result.stdout + result.stderr
    assert refused(result) == {(SDK, heavy) for heavy in KEPT_FROM_WORKERS}


def test_only_pydantic_and_only_the_manifest_is_excepted(root, tmp_path):
    manifest = f"{SDK}.manifest"
    result = lint_imports(root, tmp_path, {(manifest, heavy) for heavy in KEPT_FROM_WORKERS})

    assert refused(result) == {("manifest", "httpx"), ("manifest", "networkx")}


def test_no_module_of_the_sdk_but_the_manifest_loads_a_heavy_library():
    # Not pkgutil.walk_packages: it would import the manifest package to look into it.
    script = """
import importlib, sys, symphony_sdk
from pathlib import Path
folder = Path(symphony_sdk.__file__).parent
for file in folder.rglob("*.py"):
    names = file.relative_to(folder).with_suffix("").parts
    if names[0] not in {"manifest", "testing"} and names[-1] not in {"__init__", "__main__"}:
        importlib.import_module(".".join(("symphony_sdk", *names)))
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert "symphony_sdk.errors" in loaded.split()
    assert not KEPT_FROM_WORKERS.intersection(loaded.split())
