"""What holds for every file of the repository and for every package of the family."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|yarnpkg)\.(?:org|com)\b|\bdeb\.debian\.", re.IGNORECASE)
HOME = re.compile(r"(?<![\w.}])(?:/root|/home/(?!ada\b)\w+|/Users/(?!ada\b)\w+)/")  # Ada's home is an example


@pytest.fixture(scope="module")
def tracked(root):
    """The names of the files under version control."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.split("\0") if name and (root / name).is_file()]


def places(root, tracked, pattern):
    """Return file:line of every match in the tracked files."""
    return [
        f"{name}:{number}"
        for name in tracked
        for number, line in enumerate((root / name).read_text(errors="ignore").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_the_host_of_a_registry(root, tracked):
    assert places(root, tracked, REGISTRY) == []


def test_no_file_names_a_folder_of_one_machine(root, tracked):
    assert places(root, tracked, HOME) == []
    assert places(root, tracked, re.compile(re.escape(str(root)))) == []


def test_the_patterns_find_what_they_are_for():
    host = ".".join(["pypi", "org"])
    home = "/".join(["", "home", "grace", "project"])
    assert REGISTRY.search(f"https://{host}/simple")
    assert HOME.search(f"see {home}")


def test_no_lock_with_addresses_is_tracked(tracked):
    assert {"uv.lock", "pylock.toml", "package-lock.json"}.isdisjoint(Path(name).name for name in tracked)


def test_the_lock_holds_hashes_and_no_address(root):
    text = (root / "requirements.lock").read_text()
    requirements = text.replace("\\\n", " ").splitlines()

    assert "://" not in text
    assert len(requirements) > 10
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []


def test_every_page_of_the_navigation_exists(root):
    def pages(entries):
        for entry in entries:
            for target in entry.values() if isinstance(entry, dict) else [entry]:
                yield from pages(target) if isinstance(target, list) else [target]

    named = list(pages(tomllib.loads((root / "zensical.toml").read_text())["project"]["nav"]))
    assert named
    assert [page for page in named if not (root / "docs" / page).is_file()] == []


def test_a_package_has_a_readme_and_its_types(member):
    assert (member.folder / "README.md").read_text().startswith(f"# {member.project['name']}\n")
    assert member.packages
    assert [package for package in member.packages if not (package / "py.typed").is_file()] == []


def test_the_family_has_one_version_and_one_floor(member, members):
    first = members[0].project
    assert member.project["version"] == first["version"]
    assert member.project["requires-python"] == first["requires-python"] == ">=3.11"


def test_a_sibling_is_required_in_the_range_of_this_minor_version(member, members):
    major, minor, _ = member.project["version"].split(".")
    expected = SpecifierSet(f">={major}.{minor},<{major}.{int(minor) + 1}")
    siblings = {other.project["name"] for other in members}
    required = [Requirement(text) for text in member.project.get("dependencies", [])]

    ranges = {each.name: each.specifier for each in required if each.name in siblings}
    assert ranges == dict.fromkeys(ranges, expected)


def test_the_workspace_serves_every_member_from_its_folder(root, members):
    sources = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["sources"]
    assert sources == {member.project["name"]: {"workspace": True} for member in members}


def test_every_benchmark_is_in_the_table_of_benchmarks(root):
    named = set(
        re.findall(r"^\| `(\w+\.py)` \|", (root / "benchmarks" / "README.md").read_text(), re.MULTILINE)
    )
    assert named == {script.name for script in root.glob("benchmarks/*.py")}
