"""Refuses names that cannot be the id of an extension."""

import re
import sys

names = {"name": {{ cookiecutter.name | jsonify }}, "publisher": {{ cookiecutter.publisher | jsonify }}}

for field, name in names.items():
    if len(name) > 36 or not re.fullmatch("[a-z][a-z0-9]*(?:-[a-z0-9]+)*", name):
        sys.exit(f"the {field} {name!r} is not made of lower-case words and digits joined by hyphens")
