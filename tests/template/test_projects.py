"""What `symphony new` makes is a whole project: it installs, passes its own checks and runs at once."""

import json


def test_its_own_tests_and_its_contract_pass(project):
    ran = project.run("-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "TestContract" in (project.folder / "tests" / "test_contract.py").read_text()
    assert " passed" in ran.stdout


def test_its_style_and_its_types_are_clean(project):
    cache = project.folder.parent.parent / "mypy"  # shared by the kinds: it holds what the SDK's types are
    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--cache-dir", str(cache)]):
        ran = project.run("-m", *check)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_its_workflow_runs_at_once(project):
    name = f"tiny-{project.kind}"

    ran = project.run("-m", "symphony_host", "run", f"workflows/{name}.json", "--no-input")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    expected = {"operator": '{"the": 4}', "instrument": "German", "addon": "picture.svg"}[project.kind]
    assert expected in ran.stdout


def test_it_remembers_what_it_was_made_with(project):
    answers = json.loads((project.folder / ".symphony-template.json").read_text())

    assert answers == {
        "template": "symphony-extension",
        "version": "1",
        "answers": {"kind": project.kind, "name": f"tiny-{project.kind}", "publisher": "acme"},
    }
