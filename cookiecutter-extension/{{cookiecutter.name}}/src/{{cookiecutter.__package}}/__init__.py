"""{{ cookiecutter.__title }}: an extension of Symphony."""
