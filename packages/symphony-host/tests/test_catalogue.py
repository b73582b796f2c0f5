import json

import pytest
from symphony_host.catalogue import enablement_of, load_catalogue
from symphony_host.configuration import load_settings
from symphony_host.trust import sandbox_of
from symphony_sdk.errors import ExtensionError

NEEDS = '[requires]\nextensions = [{{ id = "{}" }}]\n'


def acme(catalogue):
    return {
        entry.record.id: (entry.state, entry.problems[0].code if entry.problems else "")
        for entry in catalogue.entries
        if entry.record.id.startswith("acme")
    }


def test_the_catalogue_tells_of_each_extension_whether_it_can_be_used(site):
    site.add("base")
    site.add("text", more=NEEDS.format("acme.base"))
    site.add("bad", more="colour = 1\n")
    site.add("child", more=NEEDS.format("acme.bad"))
    site.add("off")
    site.add("denied")
    settings = load_settings(overrides=["denied=acme.den*"])
    enablement_of(settings).disable("acme.off", "too loud")
    catalogue = load_catalogue(settings)
    assert acme(catalogue) == {
        "acme.bad": ("failed", "SYM-M001"),
        "acme.base": ("resolved", ""),
        "acme.child": ("failed", "SYM-E026"),
        "acme.denied": ("disabled", ""),
        "acme.off": ("disabled", ""),
        "acme.text": ("resolved", ""),
    }
    assert catalogue.entry("acme.off").reason == "switched off: too loud"
    assert "acme.den*" in catalogue.entry("acme.denied").reason
    usable = [record.id for record in catalogue.usable() if record.id.startswith("acme")]
    assert usable == ["acme.base", "acme.text"]
    assert catalogue.needs["acme.text"] == ("acme.base",)


def test_a_broken_extension_can_be_disabled_and_enabled(site):
    site.add("bad", manifest=b"\xff")
    settings = load_settings()
    enablement_of(settings).disable("acme-bad:bad")
    assert acme(load_catalogue(settings)) == {"acme-bad:bad": ("disabled", "")}
    enablement_of(settings).enable("acme-bad:bad")
    assert acme(load_catalogue(settings)) == {"acme-bad:bad": ("failed", "SYM-M003")}


def test_an_extension_that_may_not_run_in_the_host_fails_until_it_is_trusted(site):
    site.add("deep", more='runs = "host"\n')
    site.add("user", more=NEEDS.format("acme.deep"))
    assert acme(load_catalogue(load_settings())) == {
        "acme.deep": ("failed", "SYM-E027"),
        "acme.user": ("failed", "SYM-E026"),
    }
    trusting = load_settings(overrides=["trusted=acme.deep"])
    assert acme(load_catalogue(trusting)) == {"acme.deep": ("resolved", ""), "acme.user": ("resolved", "")}


def test_who_is_trusted_may_do_with_an_unverified_sandbox_and_nobody_gets_less_than_was_set(site):
    site.add("text")
    record = load_catalogue(load_settings()).entry("acme.text").record
    family = record.with_changes(distribution="symphony-registry")
    for wanted, trusted, sandbox in (
        ("auto", (), "auto"),
        ("auto", ("acme.text",), "unverified"),
        ("full", ("acme.text",), "full"),
        ("none", ("acme.text",), "none"),
        ("unverified", (), "unverified"),
    ):
        assert sandbox_of(record, wanted, trusted) == sandbox
    assert sandbox_of(family, "auto", ()) == "unverified"


def test_an_unknown_extension_is_told_with_the_nearest_id(site):
    site.add("text")
    with pytest.raises(ExtensionError) as raised:
        load_catalogue(load_settings()).entry("acme.txt")
    assert (raised.value.code, raised.value.hint) == ("SYM-E028", "Did you mean 'acme.text'?")


def test_the_life_cycle_begins_where_the_catalogue_stands(site):
    site.add("text")
    site.add("bad", manifest=" ")
    site.add("copy", manifest='schema = 1\n[extension]\nid = "acme.text"\nkind = "operator"\nmodule = "m"\n')
    site.add("good")
    lifecycle = load_catalogue(load_settings()).lifecycle()
    states = {id: change.state for id, change in lifecycle.latest().items() if id.startswith("acme")}
    assert states == {"acme-bad:bad": "failed", "acme.good": "resolved", "acme.text": "failed"}
    assert lifecycle.latest()["acme-bad:bad"].error.code == "SYM-M002"


def test_the_index_is_kept_in_the_cache_directory_of_the_settings(site, tmp_path):
    site.add("text")
    site.settle()
    load_catalogue(load_settings(overrides=[f"cache_dir={tmp_path / 'mine'}"]))
    assert [file.suffix for file in (tmp_path / "mine").iterdir()] == [".json"]


def test_a_warm_catalogue_imports_neither_pydantic_nor_msgspec(site, tmp_path):
    site.add("text")
    site.settle()
    code = (
        "import json, sys\n"
        "from symphony_host.catalogue import load_catalogue\n"
        "from symphony_host.configuration import load_settings\n"
        "states = {e.record.id: e.state for e in load_catalogue(load_settings()).entries}\n"
        "heavy = {'msgspec', 'pydantic', 'importlib.metadata', 'importlib_metadata', 'tomllib', 'packaging'}\n"
        "print(json.dumps([states['acme.text'], sorted(heavy & set(sys.modules))]))"
    )
    variables = {"cache": tmp_path / "cache", "SYMPHONY_DATA_DIR": str(tmp_path)}
    assert "pydantic" in json.dumps(site.run(code, **variables))
    assert site.run(code, **variables) == ["resolved", []]
