"""Neither a kill at any moment nor another process makes a wrong result stand in."""

import random
import subprocess
import sys
from pathlib import Path

CHILD = Path(__file__).with_name("cached_child.py")
LAYERS, WIDTH = 8, 6
NODES = LAYERS * WIDTH


def start_child(directory, seed, run=""):
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(directory), str(seed), run], stdout=subprocess.PIPE, text=True
    )


def read(child, most=100_000):
    """The words of each line; the child is killed after so many lines."""
    lines = []
    for line in child.stdout:
        lines.append(line.split())
        if len(lines) >= most:
            child.kill()
            break
    child.stdout.close()
    child.wait()
    return lines


def expected(seed):
    """What the workflow gives, computed by other means."""
    values = [place * seed % 1000 for place in range(WIDTH)]
    for layer in range(1, LAYERS):
        values = [
            (place * layer + sum(values[(place + step) % WIDTH] for step in range(3))) % 1000
            for place in range(WIDTH)
        ]
    return [str(value) for value in values]


def test_after_kill_9_anywhere_no_wrong_result_stands_in(tmp_path):
    chance, kills = random.Random(20261123), 0
    while kills < 4:
        seed, run, over = chance.randrange(3), "", []
        while not over:
            most = chance.randrange(2, 60) if kills < 4 else 100_000
            lines = read(start_child(tmp_path, seed, run), most)
            run = run or lines[0][1]
            over = [words for words in lines if words[0] == "outputs"]
            kills += not over
        assert over[0][1:] == expected(seed)


def test_two_processes_share_what_they_computed(tmp_path):
    first = read(start_child(tmp_path, 1))
    assert (first[-2][1:], first[-1]) == (expected(1), ["calls", str(NODES)])
    second = read(start_child(tmp_path, 1))
    assert (second[-2][1:], second[-1]) == (expected(1), ["calls", "0"])


def test_a_process_finds_what_another_computed_after_it_was_started(desk):
    desk.remember()

    @desk.operation("sum")
    async def add(call, **inputs):
        return {"result": sum(inputs.values()) % 1000, "padding": "x" * 2000}

    flow = desk.flow(
        {f"n{place}": {"uses": "sum", "params": {"own": place * 7}} for place in range(WIDTH)},
        outputs={f"o{place}": f"n{place}.result" for place in range(WIDTH)},
    )

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, desk.flow({"other": "echo"}))
            desk.new_calls()
            read(start_child(desk.directory, 7))
            run, _ = await desk.run(tracker, flow)
            assert desk.new_calls() == []
            assert await desk.outputs(tracker, run) == {f"o{place}": place * 7 for place in range(WIDTH)}

    desk.play(story())
