"""Templates: workflows with parameters, the library that holds them, and the search over it.

Imported as a submodule: `from symphony_workflow.templates import instantiate`. Nothing of it is loaded by
`import symphony_workflow`.
"""

from symphony_workflow.templates.checking import check_template
from symphony_workflow.templates.definition import (
    FORMAT,
    Template,
    dumps,
    from_document,
    load,
    loads,
    read_template,
    to_document,
)
from symphony_workflow.templates.faults import TemplateFault
from symphony_workflow.templates.instantiation import Origin, instantiate, origin_of
from symphony_workflow.templates.library import Source, TemplateLibrary, save_template
from symphony_workflow.templates.making import make_template
from symphony_workflow.templates.parameters import Parameter
from symphony_workflow.templates.placeholders import Use
from symphony_workflow.templates.search import Filter, TemplateEntry

__all__ = [
    "FORMAT",
    "Filter",
    "Origin",
    "Parameter",
    "Source",
    "Template",
    "TemplateEntry",
    "TemplateFault",
    "TemplateLibrary",
    "Use",
    "check_template",
    "dumps",
    "from_document",
    "instantiate",
    "load",
    "loads",
    "make_template",
    "origin_of",
    "read_template",
    "save_template",
    "to_document",
]
