"""Puts the files of the chosen kind into place and removes those of the others."""

import shutil

shutil.copytree("kinds/{{ cookiecutter.kind }}", ".", dirs_exist_ok=True)
shutil.rmtree("kinds")
