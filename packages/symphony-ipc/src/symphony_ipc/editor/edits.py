"""What a front end may do to a view: the methods inside of `edit`, with xi's names and parameters.

Positions are a line, counted from 0, and a column: the bytes of UTF-8 before it on the line.
"""

from typing import Annotated, Final, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Granularity = Literal["point", "word", "line"]

_PLACES = [
    *("up", "down", "left", "right", "backward", "forward", "word_left", "word_right"),
    *("to_beginning_of_paragraph", "to_end_of_paragraph", "to_left_end_of_line", "to_right_end_of_line"),
    *("to_beginning_of_document", "to_end_of_document"),
]
PLAIN_EDITS: Final = frozenset(
    [
        *(f"move_{place}" for place in _PLACES),
        *(f"move_{place}_and_modify_selection" for place in _PLACES),
        *("scroll_page_up", "scroll_page_down"),
        *("page_up_and_modify_selection", "page_down_and_modify_selection"),
        *("select_all", "collapse_selections", "selection_into_lines"),
        *("add_selection_above", "add_selection_below"),
        *("delete_forward", "delete_backward", "delete_word_forward", "delete_word_backward"),
        *("delete_to_end_of_paragraph", "delete_to_beginning_of_line"),
        *("insert_newline", "insert_tab", "duplicate_line", "indent", "outdent", "reindent"),
        *("copy", "cut", "yank", "transpose", "undo", "redo"),
        *("uppercase", "lowercase", "capitalize", "increase_number", "decrease_number"),
        *("find_all", "replace_next", "replace_all"),
    ]
)
"""The methods that take no parameters."""


class Plain(msgspec.Struct, frozen=True):
    """An edit without parameters.

    Args:
        method: One of `PLAIN_EDITS`.
    """

    method: str


class Insert(msgspec.Struct, frozen=True):
    """`insert`: type text at every cursor.

    Args:
        chars: The text.
    """

    chars: str


class Paste(msgspec.Struct, frozen=True):
    """`paste`: as `insert`, but a group of its own to undo.

    Args:
        chars: The text.
    """

    chars: str


class Scroll(msgspec.Struct, frozen=True, array_like=True):
    """`scroll`: these lines are seen now.

    Args:
        first: First line.
        last: First line after those.
    """

    first: int
    last: int


class RequestLines(msgspec.Struct, frozen=True, array_like=True):
    """`request_lines`: send these lines, which the front end has not.

    Args:
        first: First line.
        last: First line after those.
    """

    first: Count
    last: Count


class Resize(msgspec.Struct, frozen=True):
    """`resize`: the view has this size, in pixels.

    Args:
        width: Its width.
        height: Its height.
    """

    width: float
    height: float


class GotoLine(msgspec.Struct, frozen=True):
    """`goto_line`: move the cursor to a line.

    Args:
        line: The line, counted from 0.
    """

    line: Count


class Select(msgspec.Struct, frozen=True):
    """A gesture that selects.

    Args:
        granularity: What is selected around the place.
        multi: Whether the other selections stay.
    """

    granularity: Granularity = "point"
    multi: bool = False


class SelectExtend(msgspec.Struct, frozen=True):
    """A gesture that extends the selection.

    Args:
        granularity: What the selection grows by.
    """

    granularity: Granularity = "point"


class Selecting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gesture selects; exactly one of its fields is given.

    Args:
        select: A new selection.
        select_extend: More of the last one.
    """

    select: Select | None = None
    select_extend: SelectExtend | None = None

    def __post_init__(self) -> None:
        if (self.select is None) == (self.select_extend is None):
            raise ValueError("a gesture is one of `select` and `select_extend`")


OldGesture = Literal[
    "point_select",
    "toggle_sel",
    "range_select",
    "line_select",
    "word_select",
    "multi_line_select",
    "multi_word_select",
]
"""How older front ends write a gesture."""


class Gesture(msgspec.Struct, frozen=True):
    """`gesture`: the pointer was used.

    Args:
        line: Where.
        col: Where on the line.
        ty: What for.
    """

    line: Count
    col: Count
    ty: Selecting | Literal["drag"] | OldGesture


class Click(msgspec.Struct, frozen=True, array_like=True):
    """`click`: how the oldest front ends write a gesture.

    Args:
        line: Where.
        column: Where on the line.
        flags: 2 where the selection is extended.
        click_count: 2 for a word, 3 for a line.
    """

    line: Count
    column: Count
    flags: Count = 0
    click_count: Count = 1


class Drag(msgspec.Struct, frozen=True, array_like=True):
    """`drag`: the pointer moved while it was pressed.

    Args:
        line: Where to.
        column: Where on the line.
        flags: As with `click`.
    """

    line: Count
    column: Count
    flags: Count = 0


class Find(msgspec.Struct, frozen=True, omit_defaults=True):
    """`find`: look for a text and highlight it.

    Args:
        chars: The text.
        case_sensitive: Whether its case matters.
        regex: Whether it is a regular expression.
        whole_words: Whether it stands for whole words.
    """

    chars: str
    case_sensitive: bool
    regex: bool = False
    whole_words: bool = False


class FindQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of several texts to look for.

    Args:
        chars: The text.
        case_sensitive: Whether its case matters.
        id: Names it in `find_status`; None for a new one.
        regex: Whether it is a regular expression.
        whole_words: Whether it stands for whole words.
    """

    chars: str
    case_sensitive: bool
    id: Count | None = None
    regex: bool = False
    whole_words: bool = False


class MultiFind(msgspec.Struct, frozen=True):
    """`multi_find`: look for several texts at once.

    Args:
        queries: What to look for.
    """

    queries: tuple[FindQuery, ...]


SelectionModifier = Literal["none", "set", "add", "add_removing_current"]


class FindNext(msgspec.Struct, frozen=True, omit_defaults=True):
    """`find_next` and `find_previous`: go to another occurrence.

    Args:
        wrap_around: Whether to go on at the other end of the text.
        allow_same: Whether the one at the cursor counts.
        modify_selection: What becomes of the selections.
    """

    wrap_around: bool = False
    allow_same: bool = False
    modify_selection: SelectionModifier = "set"


class HighlightFind(msgspec.Struct, frozen=True):
    """`highlight_find`: show what was found, or do not.

    Args:
        visible: Whether to show it.
    """

    visible: bool


class SelectionForFind(msgspec.Struct, frozen=True, omit_defaults=True):
    """`selection_for_find` and `selection_for_replace`: take what is selected.

    Args:
        case_sensitive: Whether its case matters; some front ends say so for a replacement too.
    """

    case_sensitive: bool = False


class Replace(msgspec.Struct, frozen=True, omit_defaults=True):
    """`replace`: what `replace_next` and `replace_all` write.

    Args:
        chars: The text.
        preserve_case: Whether it takes the case of what it replaces.
    """

    chars: str
    preserve_case: bool = False


EditCommand = (
    Plain
    | Insert
    | Paste
    | Scroll
    | RequestLines
    | Resize
    | GotoLine
    | Gesture
    | Click
    | Drag
    | Find
    | MultiFind
    | FindNext
    | HighlightFind
    | SelectionForFind
    | Replace
)

EDITS: Final[dict[str, type[msgspec.Struct]]] = {
    "insert": Insert,
    "paste": Paste,
    "scroll": Scroll,
    "request_lines": RequestLines,
    "resize": Resize,
    "goto_line": GotoLine,
    "gesture": Gesture,
    "click": Click,
    "drag": Drag,
    "find": Find,
    "multi_find": MultiFind,
    "find_next": FindNext,
    "find_previous": FindNext,
    "highlight_find": HighlightFind,
    "selection_for_find": SelectionForFind,
    "selection_for_replace": SelectionForFind,
    "replace": Replace,
}
"""The methods that take parameters, with the type of these."""
