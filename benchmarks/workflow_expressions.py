"""Evaluates and checks expressions, beside cel-python and, as the floor, Python's own `eval` of compiled code.

Run it with `uv run --with cel-python benchmarks/workflow_expressions.py`. Figures are medians of CPU time.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from symphony_workflow import check_expression, evaluate

ROUNDS = 7
CASES: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("count > 3", "count > 3", {"count": 4}, 5_000),
    (
        "count > 3 && name.startsWith('a')",
        "count > 3 and name.startswith('a')",
        {"count": 4, "name": "abc"},
        5_000,
    ),
    ("inputs.limit * 2 + 1", "inputs['limit'] * 2 + 1", {"inputs": {"limit": 21}}, 5_000),
    (
        "files.all(f, size(f) > 2)",
        "all(len(f) > 2 for f in files)",
        {"files": [f"file-{number}" for number in range(1_000)]},
        20,
    ),
    (
        "files.filter(f, f.endsWith('7'))",
        "[f for f in files if f.endswith('7')]",
        {"files": [f"file-{number}" for number in range(1_000)]},
        5,
    ),
)
TYPES: dict[str, dict[str, Any]] = {
    "count": {"type": "integer"},
    "name": {"type": "string"},
    "inputs": {"type": "object", "properties": {"limit": {"type": "integer"}}},
    "files": {"type": "array", "items": {"type": "string"}},
}


def median(work: Callable[[], Any], count: int) -> float:
    """Microseconds of CPU that `work` takes."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(count):
            work()
        times.append((time.process_time() - start) / count)
    return statistics.median(times) * 1e6


def main() -> None:
    try:
        import celpy
    except ImportError:
        sys.exit("cel-python is missing: uv run --with cel-python benchmarks/workflow_expressions.py")
    environment = celpy.Environment()
    print(
        f"{'microseconds':36}{'ours':>10}{'cel-python':>12}{'ratio':>8}{'Python':>10}{'ratio':>8}{'check':>8}"
    )
    for case in CASES:
        measure(environment, *case)


def measure(environment: Any, text: str, plain: str, values: dict[str, Any], count: int) -> None:
    """Print the row of one expression.

    Args:
        environment: That of cel-python.
        text: The expression.
        plain: The same in Python.
        values: The value of each name.
        count: How often to evaluate it.
    """
    from celpy import json_to_cel

    program = environment.program(environment.compile(text))
    context = {name: json_to_cel(value) for name, value in values.items()}
    code = compile(plain, text, "eval")
    assert evaluate(text, values) == eval(code, values)
    ours = median(lambda: evaluate(text, values), count)
    peer = median(lambda: program.evaluate(context), max(1, count // 50))
    floor = median(lambda: eval(code, values), count)
    check = median(lambda: check_expression(text, TYPES), count)
    ratios = ours / peer, ours / floor
    print(f"{text:36}{ours:>10.1f}{peer:>12.1f}{ratios[0]:>8.3f}{floor:>10.2f}{ratios[1]:>8.1f}{check:>8.1f}")


if __name__ == "__main__":
    main()
