"""Says the `when` of a CWL step in CEL, where it only compares inputs with literals."""

import re

from symphony_workflow import check_expression

_TOKEN = re.compile(
    r"""\s*(?:
        inputs\.(?P<name>[A-Za-z_]\w*)
      | inputs\[(?P<quote>["'])(?P<quoted>[A-Za-z_]\w*)(?P=quote)\]
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<text>"[^"\\]*"|'[^'\\]*')
      | (?P<word>true|false|null)(?!\w)
      | (?P<operator>===|!==|==|!=|<=|>=|<|>|&&|\|\||!|\(|\)|-)
    )\s*""",
    re.VERBOSE,
)
_SAME = {"===": "==", "!==": "!="}


def condition_of(when: str) -> tuple[str, list[str]] | None:
    """The condition in CEL and the inputs that it uses; None where CEL cannot say it.

    Args:
        when: The expression, such as `$(inputs.count > 3)`.
    """
    text = when.strip()
    if not (text.startswith("$(") and text.endswith(")")):
        return None
    text = text[2:-1]
    place, names = 0, []
    said: list[str] = []
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return None
        place = token.end()
        name = token["name"] or token["quoted"]
        if name:
            names.append(name)
            said.append(name)
        else:
            part = token[0].strip()
            said.append(_SAME.get(part, part))
    condition = " ".join(said).replace("! ", "!").replace("( ", "(").replace(" )", ")")
    used = list(dict.fromkeys(names))
    if not used or check_expression(condition, {name: {} for name in used}, wants={"type": "boolean"}):
        return None
    return condition, used
