from symphony_sdk.testing import ExtensionContract

from {{ cookiecutter.__package }}.plugin import GuessLanguage


class TestContract(ExtensionContract):
    package = "{{ cookiecutter.__package }}"
    examples = {GuessLanguage.id: {"text": "A sentence of some words."}}
