"""More than its share: memory of each kind, processes, threads, files and the disk."""

import mmap
import os
import resource
import threading
import time
from contextlib import suppress

from attempts.effects import holds, outgrew
from attempts.native import call, libc
from attempts.privileges import PR_SET_NAME
from attempts.table import Table

resources = Table("resources")
MIB = 1 << 20
LIMITS = {"memory": 64 * MIB, "threads": 40, "processes": 8, "disk": 8 * MIB, "open_files": 128}
"""What an extension that tries these is held to."""

MUCH = 128  # MiB that each of them takes, if it is let
MANY = 50_000  # files and directories, more than can be made in a moment; as blocks, 2,048 are too many


def memory(look):
    """What all processes of it hold, in RAM: pages of files that nobody else has counted in."""
    held = 0
    for pid in look.pids:
        with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
            held += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    return held, LIMITS["memory"] * 5 // 4


def files_in_memory(look):
    """What it holds in files that are in memory."""
    return memory(look)[0] + look.world.in_memory(look.name), LIMITS["memory"] * 5 // 4


def fill(at, take):
    for _ in range(MUCH):
        at.keep(take())


def touched(area):
    area.write(b"x" * MIB)
    return area


@resources.high(outgrew(memory), alone=True)
def takes_memory_of_its_own(at):
    fill(at, lambda: b"x" * MIB)


@resources.high(outgrew(memory), alone=True)
def takes_memory_that_can_be_shared(at):
    fill(at, lambda: touched(mmap.mmap(-1, MIB)))


@resources.high(outgrew(memory), alone=True)
def takes_memory_in_many_threads(at):
    threads = [threading.Thread(target=lambda: at.keep(b"x" * (MUCH // 8) * MIB)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@resources.high(outgrew(memory), alone=True)
def takes_memory_as_a_file_without_a_name(at):
    number = os.memfd_create(at.mark)
    for _ in range(MUCH):
        os.write(number, b"x" * MIB)
    at.keep(mmap.mmap(number, MUCH * MIB).read())
    at.keep(number)


@resources.high(outgrew(files_in_memory), alone=True)
def takes_memory_as_shared_files(at):
    number = os.open(f"/dev/shm/{at.mark}", os.O_CREAT | os.O_WRONLY)
    for _ in range(MUCH):
        os.write(number, b"x" * MIB)


@resources.high(holds("secretmem"), alone=True, needs="a kernel with secret memory")
def takes_memory_that_nobody_may_see(at):
    number = call("memfd_secret", 0)
    os.ftruncate(number, MUCH * MIB)
    at.keep(touched(mmap.mmap(number, MUCH * MIB)))


def count_of_threads(look):
    found = 0
    for pid in look.pids:
        with suppress(OSError):
            found += len(os.listdir(f"/proc/{pid}/task"))
    return found, 48


@resources.high(outgrew(count_of_threads), alone=True)
def starts_threads_without_end(at):
    for _ in range(60):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


@resources.high(outgrew(lambda look: (len(look.pids), 14)), alone=True, starts=True)
def starts_processes_without_end(at):
    for _ in range(30):
        if not os.fork():
            time.sleep(60)


@resources.high(outgrew(lambda look: (len(look.world.marked(look.name)), 14)), alone=True, starts=True)
def starts_processes_that_start_processes(at):
    libc.prctl(PR_SET_NAME, at.mark.encode(), 0, 0, 0)
    for _ in range(5):
        os.fork()


@resources.high(outgrew(lambda look: (look.world.disk(look.name)[0], 12 * MIB)), alone=True)
def fills_the_disk(at):
    for number in range(64):
        with open(f"{at.data}/{at.mark}-{number}", "wb") as file:
            file.write(b"x" * MIB)


@resources.high(outgrew(lambda look: (look.world.disk(look.name)[0], 12 * MIB)), alone=True)
def fills_the_disk_with_one_file(at):
    with open(f"{at.data}/{at.mark}", "wb") as file:
        for _ in range(64):
            file.write(b"x" * MIB)


@resources.low(outgrew(lambda look: (look.world.disk(look.name)[1], MANY * 3 // 4)), alone=True)
def fills_the_disk_with_what_is_empty(at):
    for number in range(MANY):
        if number % 10:
            os.close(os.open(f"{at.data}/{at.mark}-{number}", os.O_CREAT | os.O_WRONLY))
        else:
            os.mkdir(f"{at.data}/{at.mark}-{number}")


def descriptors(look):
    found = 0
    for pid in look.pids:
        with suppress(OSError):
            found = max(found, len(os.listdir(f"/proc/{pid}/fd")))
    return found, 160


@resources.low(outgrew(descriptors), alone=True)
def opens_files_without_end(at):
    with suppress(OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    for _ in range(300):
        at.keep(os.open("/dev/null", os.O_RDONLY))
