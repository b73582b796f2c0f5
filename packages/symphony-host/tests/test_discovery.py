import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_host.discovery import discover
from symphony_sdk.errors import SymphonyError


def test_an_extension_is_found_with_all_that_its_metadata_says_and_never_imported(site):
    root = site.add("text")
    record = site.discover()["acme.text"]
    assert (record.id, record.kind, record.runs) == ("acme.text", "operator", "worker")
    assert (record.distribution, record.version, record.summary) == ("acme-text", "1.0", "About text")
    assert (record.license, record.authors) == ("MIT", "Ada")
    assert (record.package, record.root, record.entry_point) == ("acme_text", str(root), "text")
    assert record.manifest_file == str(root / "symphony.toml")
    assert (record.editable, record.error, record.usable) == (False, None, True)
    assert record.manifest.module == "acme_text.plugin"
    assert "acme_text" not in sys.modules


def test_a_distribution_without_our_group_is_no_extension(site):
    site.add("text", entry_points="[console_scripts]\nsymphony.extensions = acme_text:main\n")
    assert site.discover() == {}


def test_a_distribution_without_entry_points_is_no_extension(site):
    site.add("text", entry_points=None)
    assert site.discover() == {}


@pytest.mark.parametrize(
    ("installed", "id", "code", "says"),
    [
        ({"manifest": None}, "acme-text:text", "SYM-M002", "No such file"),
        ({"manifest": "schema = \n"}, "acme-text:text", "SYM-M003", "not TOML"),
        ({"manifest": b"\xff\xfe\x00"}, "acme-text:text", "SYM-M003", "not UTF-8"),
        ({"manifest": os.urandom(4096)}, "acme-text:text", "SYM-M003", ""),
        ({"manifest": " "}, "acme-text:text", "SYM-M002", "empty"),
        (
            {"manifest": '[extension]\nid = "acme.text"\nkind = "gadget"\nmodule = "m"\n'},
            "acme.text",
            "SYM-M001",
            "gadget",
        ),
        ({"more": "colour = 1\n"}, "acme.text", "SYM-M001", "colour"),
        ({"more": 'inherits = "acme.base"\n'}, "acme.text", "SYM-M005", "acme.base"),
        (
            {"entry_points": "[symphony.extensions]\ntext = acme_text.sub:symphony.toml\n"},
            "acme-text:text",
            "SYM-E020",
            "acme_text.sub:symphony.toml",
        ),
        (
            {"entry_points": "[symphony.extensions]\ntext = acme_text:../../secret.toml\n"},
            "acme-text:text",
            "SYM-E020",
            "secret",
        ),
        ({"entry_points": "[symphony.extensions]\ntext =\n"}, "acme-text:text", "SYM-E020", "''"),
        (
            {"entry_points": "[symphony.extensions]\nnonsense\n"},
            "acme-text:entry_points.txt",
            "SYM-E020",
            "name = value",
        ),
        (
            {"entry_points": b"[symphony.extensions]\n\xff = \xfe\n"},
            "acme-text:entry_points.txt",
            "SYM-E020",
            "not UTF-8",
        ),
        (
            {"entry_points": "[symphony.extensions]\ntext = acme_absent:symphony.toml\n"},
            "acme-text:text",
            "SYM-E021",
            "acme_absent",
        ),
        (
            {"entry_points": "[symphony.extensions]\ntext = __main__:symphony.toml\n"},
            "acme-text:text",
            "SYM-E021",
            "__main__",
        ),
        (
            {"entry_points": "[symphony.extensions]\ntext = json.tool:symphony.toml\n"},
            "acme-text:text",
            "SYM-E020",
            "json.tool",
        ),
    ],
)
def test_what_is_wrong_with_an_extension_is_in_its_record_and_harms_no_other(site, installed, id, code, says):
    site.add("good")
    site.add("text", **installed)
    found = site.discover()
    assert found["acme.good"].usable
    error = found[id].error
    assert (error.code, says in error.message, bool(error.file)) == (code, True, True)
    assert error.hint
    with pytest.raises(SymphonyError) as raised:
        _ = found[id].manifest
    assert raised.value.message == error.message


def test_a_manifest_in_a_single_module_is_told_to_be_a_directory(site):
    (site.path / "acme_single.py").write_text("raise RuntimeError\n")
    site.add("text", entry_points="[symphony.extensions]\ntext = acme_single:symphony.toml\n")
    assert site.discover()["acme-text:text"].error.code == "SYM-E021"


def test_entry_points_that_cannot_be_read_are_told(site):
    root = site.add("text", entry_points=None)
    (root.parent / "acme_text-1.0.dist-info" / "entry_points.txt").mkdir()
    assert site.discover()["acme-text:entry_points.txt"].error.code == "SYM-E020"


def test_metadata_that_is_missing_or_damaged_leaves_what_the_directory_name_says(site):
    site.add("none", metadata=None, version="3.1")
    site.add("binary", metadata=b"\xff\xfe\x00garbage")
    found = site.discover()
    assert (found["acme.none"].distribution, found["acme.none"].version) == ("acme-none", "3.1")
    assert (found["acme.binary"].version, found["acme.binary"].usable) == ("1.0", True)


def test_an_import_hook_that_raises_harms_only_the_extension_that_it_is_asked_for(site, monkeypatch):
    class Hostile:
        def find_spec(self, name, path=None, target=None):
            if name == "acme_hooked":
                raise RuntimeError("a broken import hook")

    monkeypatch.setattr(sys, "meta_path", [Hostile(), *sys.meta_path])
    site.add("hooked")
    site.add("good")
    found = site.discover()
    assert (found["acme.good"].usable, found["acme-hooked:hooked"].error.code) == (True, "SYM-E021")


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(site, tmp_path, monkeypatch):
    other = type(site)(tmp_path / "other")
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.path)])
    site.add("text", version="2.0")
    other.add("text", version="1.0")
    assert site.discover()["acme.text"].version == "2.0"
    assert other.discover() == {}


def test_one_directory_twice_on_the_path_is_looked_at_once(site, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(site.path), f"{site.path}/", *sys.path])
    site.add("text")
    assert [record.id for record in discover() if record.id == "acme.text"] == ["acme.text"]
    assert site.discover()["acme.text"].usable


def test_two_distributions_with_one_id_are_both_unusable_and_each_names_both(site):
    site.add("text")
    site.add("copy", manifest='schema = 1\n[extension]\nid = "acme.text"\nkind = "operator"\nmodule = "m"\n')
    found = [record for record in discover() if record.id == "acme.text"]
    assert [record.error.code for record in found] == ["SYM-E022", "SYM-E022"]
    for record in found:
        assert "acme-text 1.0" in record.error.message
        assert "acme-copy 1.0" in record.error.message


def test_two_entry_points_of_one_manifest_are_one_extension(site):
    line = "acme_text:symphony.toml"
    site.add("text", entry_points=f"[symphony.extensions]\na = {line}\nb = {line}\n")
    found = site.discover()
    assert (list(found), found["acme.text"].usable) == (["acme.text"], True)


def test_one_distribution_may_bring_two_extensions(site):
    other = 'schema = 1\n[extension]\nid = "acme.other"\nkind = "operator"\nmodule = "m"\n'
    site.add(
        "text",
        entry_points="[symphony.extensions]\na = acme_text:symphony.toml\nb = acme_text:more/other.toml\n",
        files={"more/other.toml": other},
    )
    assert sorted(site.discover()) == ["acme.other", "acme.text"]


def test_an_extension_inherits_from_one_of_another_distribution(site):
    site.add("base", more='[requires]\nsymphony = ">=0.1"\nafter = ["acme.first"]\n')
    site.add("text", more='inherits = "acme.base"\n')
    assert site.discover()["acme.text"].after == ("acme.first",)


def test_what_pip_is_about_to_remove_is_not_looked_at(site):
    site.add("text")
    (site.path / "acme_text-1.0.dist-info").rename(site.path / "~cme_text-1.0.dist-info")
    assert site.discover() == {}


def test_requirements_are_compared_with_what_is_installed(site):
    site.add("base", version="1.5")
    site.add(
        "text",
        more='[requires]\nsymphony = ">=99"\nextensions = [{ id = "acme.base", version = ">=1.2,<2" }, '
        '{ id = "acme.gone", optional = true }]\n',
    )
    site.add("odd", version="not.a.version")
    site.add("picky", more='[requires]\nextensions = [{ id = "acme.odd", version = ">=1" }]\n')
    found = site.discover()
    assert [(need.id, need.met) for need in found["acme.text"].requires] == [
        ("symphony", False),
        ("acme.base", True),
        ("acme.gone", False),
    ]
    assert not found["acme.picky"].requires[1].met


def test_a_directory_of_the_path_that_cannot_be_listed_is_passed_over(site, monkeypatch):
    site.add("text")
    real = os.listdir

    def refuse(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    (site.path / "locked").mkdir()
    monkeypatch.setattr(sys, "path", [str(site.path / "locked"), *sys.path])
    monkeypatch.setattr(os, "listdir", refuse)
    assert site.discover()["acme.text"].usable


def test_the_fingerprint_of_an_installed_distribution_changes_with_its_record(site):
    root = site.add("text")
    before = site.discover()["acme.text"].fingerprint()
    (root / "plugin.py").write_text("edited = True\n")
    assert site.discover()["acme.text"].fingerprint() == before
    (site.path / "acme_text-1.0.dist-info" / "RECORD").write_text("acme_text/plugin.py,,\n")
    assert site.discover()["acme.text"].fingerprint() != before


def test_the_fingerprint_of_an_editable_distribution_changes_with_its_files(site):
    root = site.add("text")
    direct = site.path / "acme_text-1.0.dist-info" / "direct_url.json"
    direct.write_text('{"url": "file:///somewhere", "dir_info": {"editable": true}}')
    record = site.discover()["acme.text"]
    before = record.fingerprint()
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "plugin.pyc").write_bytes(b"x")
    assert (record.editable, record.fingerprint()) == (True, before)
    (root / "plugin.py").write_text("edited = True\n")
    assert record.fingerprint() != before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifest=st.binary(max_size=300), entry_points=st.binary(max_size=120))
def test_no_bytes_in_a_manifest_or_in_entry_points_stop_discovery(site, manifest, entry_points):
    site.add("good")
    site.add("text", manifest=manifest)
    site.add("points", entry_points=b"[symphony.extensions]\n" + entry_points)
    found = site.discover()
    assert found["acme.good"].usable
    assert all(record.error is not None for id, record in found.items() if id.startswith("acme-"))


BACKEND = """
import pathlib
import zipfile

INFO = "acme_real-1.2.3.dist-info"
HERE = pathlib.Path(__file__).parent

def _build(into, files):
    name = "acme_real-1.2.3-py3-none-any.whl"
    files[f"{INFO}/METADATA"] = (
        "Metadata-Version: 2.4\\nName: acme-real\\nVersion: 1.2.3\\nSummary: Real\\n"
        "License-Expression: MIT\\nAuthor-email: Ada <ada@example.org>\\n"
    )
    files[f"{INFO}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{INFO}/entry_points.txt"] = "[symphony.extensions]\\nreal = acme_real:symphony.toml\\n"
    files[f"{INFO}/RECORD"] = "".join(f"{file},,\\n" for file in [*files, f"{INFO}/RECORD"])
    with zipfile.ZipFile(pathlib.Path(into) / name, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return name

def build_wheel(into, settings=None, metadata=None):
    package = HERE / "src" / "acme_real"
    return _build(into, {f"acme_real/{file.name}": file.read_text() for file in package.iterdir()})

def build_editable(into, settings=None, metadata=None):
    return _build(into, {"acme_real.pth": str(HERE / "src")})
"""
"""A build backend of a few lines, so that the test needs no network."""


@pytest.mark.skipif(shutil.which("uv") is None and "CI" not in os.environ, reason="uv is not installed")
@pytest.mark.parametrize("way", ["wheel", "editable"])
def test_what_an_installer_really_makes_is_found(tmp_path: Path, way: str) -> None:
    environment = tmp_path / "environment"
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    project = tmp_path / "project"
    package = project / "src" / "acme_real"
    package.mkdir(parents=True)
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "acme-real"\nversion = "1.2.3"\n'
    )
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "symphony.toml").write_text(
        'schema = 1\n[extension]\nid = "acme.real"\nkind = "operator"\nmodule = "acme_real.plugin"\n'
    )
    how = ["--editable"] if way == "editable" else []
    install = ["uv", "pip", "install", "-q", "--offline", "--python", python, *how, project]
    subprocess.run(install, check=True)
    code = (
        "import json, sys; sys.path += json.loads(sys.argv[1])\n"
        "from symphony_host.discovery import discover\n"
        "r = {r.id: r for r in discover()}['acme.real']\n"
        "print(json.dumps([r.version, r.summary, r.license, r.authors, r.editable, r.usable, r.root]))"
    )
    paths = json.dumps([path for path in sys.path if path])
    done = subprocess.run([python, "-I", "-c", code, paths], check=True, capture_output=True, cwd=tmp_path)
    version, summary, license, authors, editable, usable, root = json.loads(done.stdout)
    assert (version, summary, license, usable) == ("1.2.3", "Real", "MIT", True)
    assert "Ada" in authors
    assert (editable, Path(root).is_relative_to(project)) == ((way == "editable"),) * 2
