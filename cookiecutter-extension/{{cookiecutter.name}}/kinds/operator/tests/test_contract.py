from symphony_sdk.testing import ExtensionContract

from {{ cookiecutter.__package }}.plugin import count_words


class TestContract(ExtensionContract):
    package = "{{ cookiecutter.__package }}"
    examples = {count_words.id: {"text": "to be or not to be"}}
