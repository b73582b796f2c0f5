"""What goes on after the extension has ended: changed code, files that others run, processes that stay."""

import os
import signal
import sys
import time

from attempts.effects import Effect, alters, changed, runs
from attempts.files import write
from attempts.native import call, libc
from attempts.privileges import LONG, PR_SET_NAME, SLEEP
from attempts.table import Table

persistence = Table("persistence")


def own_code(world):
    """The code of the extension, and what else is beside it."""
    found = {}
    for where, _, names in os.walk(world.code):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[path] = (os.stat(path).st_mode, file.read())
    return found


def libraries(world):
    """What attempts have left beside the libraries."""
    return [name for name in os.listdir(world.site) if world.run in name]


@persistence.high(alters(libraries))
def leaves_a_path_file_that_runs_with_python(at):
    write(f"{at.site}/{at.mark}.pth", b"import this\n")


@persistence.high(alters(libraries))
def leaves_a_module_that_runs_with_python(at):
    write(f"{at.site}/sitecustomize_{at.mark}.py", b"")


@persistence.high(alters(libraries))
def leaves_a_package_that_others_import(at):
    os.mkdir(f"{at.site}/{at.mark}")


@persistence.high(alters(own_code))
def changes_its_own_code(at):
    write(f"{at.code}/attempts/table.py", b"\n", os.O_WRONLY | os.O_APPEND)


@persistence.high(alters(own_code))
def leaves_compiled_code(at):
    os.makedirs(f"{at.code}/attempts/__pycache__", exist_ok=True)
    write(f"{at.code}/attempts/__pycache__/table.{sys.implementation.cache_tag}.{at.mark}.pyc", b"poisoned")


@persistence.high(alters(own_code))
def puts_a_module_before_its_own(at):
    write(f"{at.code}/{at.mark}.py", b"")


@persistence.high(changed("home"))
def changes_what_a_shell_runs(at):
    write(f"{at.home}/.bashrc", b"true\n", os.O_WRONLY | os.O_APPEND)


@persistence.high(changed("home"))
def lets_a_key_log_in(at):
    write(f"{at.home}/.ssh/authorized_keys", b"ssh-ed25519 A\n")


@persistence.high(changed("home"))
def starts_with_the_desktop(at):
    os.makedirs(f"{at.home}/.config/autostart")
    write(f"{at.home}/.config/autostart/{at.mark}.desktop", b"[Desktop Entry]\n")


@persistence.high(changed("home"))
def starts_with_the_session(at):
    os.makedirs(f"{at.home}/.config/systemd/user")
    write(f"{at.home}/.config/systemd/user/{at.mark}.service", b"[Service]\n")


@persistence.high(changed("home"))
def puts_a_program_in_the_way(at):
    os.makedirs(f"{at.home}/.local/bin")
    write(f"{at.home}/.local/bin/ls", b"#!/bin/sh\n")


@persistence.high(changed("granted"))
def leaves_a_hook_of_git(at):
    write(f"{at.granted}/.git/hooks/pre-commit", b"#!/bin/sh\n")


@persistence.high(changed("granted"))
def leaves_settings_of_an_editor(at):
    os.mkdir(f"{at.granted}/.vscode")
    write(f"{at.granted}/.vscode/tasks.json", b"{}")


def outlives(look):
    """Whether a process with the mark is still there once all of the attacker was ended."""
    look.runner.end()
    until = time.monotonic() + max(look.grace, 0.2)
    while look.world.marked(look.name) and time.monotonic() < until:
        time.sleep(0.01)
    return bool(look.world.marked(look.name))


@persistence.high(Effect(outlives), alone=True)
def leaves_a_process_in_a_session_of_its_own(at):
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os.read(reading, 1)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    libc.prctl(PR_SET_NAME, at.mark.encode(), 0, 0, 0)
    os.close(writing)
    signal.pause()


@persistence.high(Effect(outlives), alone=True, starts=True)
def leaves_a_process_though_it_may_start_some(at):
    leaves_a_process_in_a_session_of_its_own(at)


@persistence.high(Effect(outlives), alone=True, starts=True)
def leaves_a_process_that_ignores_its_end(at):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    leaves_a_process_in_a_session_of_its_own(at)


@persistence.high(runs(), alone=True, starts=True)
def starts_a_program_though_it_may_only_fork(at):
    at.keep(os.posix_spawn(SLEEP, [at.mark, LONG], {}))


@persistence.high(Effect(outlives), alone=True)
def cuts_the_tie_to_its_host(at):
    """Does not end when its host does; whoever is killed ends."""
    call("prctl", 1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG
    call("prctl", 36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    leaves_a_process_in_a_session_of_its_own(at)
