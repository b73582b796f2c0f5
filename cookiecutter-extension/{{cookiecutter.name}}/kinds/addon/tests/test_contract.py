from symphony_sdk.testing import ExtensionContract

from {{ cookiecutter.__package }}.plugin import draw_bars


class TestContract(ExtensionContract):
    package = "{{ cookiecutter.__package }}"
    examples = {draw_bars.id: {"values": {"apples": 4, "pears": 2.5}}}
