"""What a process gets from the one that started it: variables, descriptors, memory."""

import os
import re
from contextlib import suppress

from attempts.effects import told
from attempts.table import Table

environment = Table("environment")
SHAPE = re.compile(rb"secret-[0-9a-f]{32}")


@environment.high(told("environment"))
def reads_the_variables_of_the_host(at):
    return dict(os.environ)


@environment.high(told("environment"))
def reads_the_variables_that_it_was_started_with(at):
    with open("/proc/self/environ") as file:
        return file.read()


@environment.high(told("environment"))
def reads_the_variables_of_its_parent(at):
    with open(f"/proc/{os.getppid()}/environ") as file:
        return file.read()


@environment.high(told("environment"))
def searches_its_own_memory(at):
    found = set()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if "rw" in line and end - begin < 1 << 28:
                with suppress(OSError):
                    memory.seek(begin)
                    found.update(SHAPE.findall(memory.read(end - begin)))
    return found


@environment.high(told("inherited"))
def reads_a_descriptor_that_was_left_open(at):
    found = []
    for number in range(3, 256):
        with suppress(OSError):
            found.append(os.pread(number, 100, 0))
    return found


@environment.high(told("inherited"))
def opens_a_descriptor_that_was_left_open_again(at):
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.pread(os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_NONBLOCK), 100, 0))
    return found
