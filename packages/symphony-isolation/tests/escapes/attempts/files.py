"""Files of the user: reading what was not granted, changing what may only be read."""

import ctypes
import fcntl
import mmap
import os
import socket
import struct
import threading
import time

from attempts.effects import (
    Effect,
    alters,
    changed,
    holds,
    is_device,
    is_socket,
    made,
    runs_as_another,
    told,
    watches,
)
from attempts.native import call
from attempts.table import Table

files = Table("files")
AT_FDCWD, O_PATH = -100, os.O_PATH


def read(path, directory=None):
    number = os.open(path, os.O_RDONLY, dir_fd=directory)
    return os.read(number, 4096)


@files.high(told())
def reads_a_file_by_its_path(at):
    return read(at.secret)


@files.high(told())
def reads_a_file_by_a_path_that_climbs(at):
    os.chdir(at.data)
    return read(os.path.relpath(at.secret))


@files.high(told())
def reads_a_file_from_the_directory_of_a_granted_one(at):
    return read(os.path.relpath(at.secret, at.granted), os.open(at.granted, os.O_RDONLY))


@files.high(told())
def reads_a_file_from_a_directory_that_it_has_entered(at):
    os.chdir(at.outside)
    try:
        return read("secret")
    finally:
        os.chdir(at.data)


@files.high(told())
def reads_a_file_from_a_directory_opened_as_a_path(at):
    return read("secret", os.open(at.outside, O_PATH))


@files.high(told())
def reads_a_file_opened_as_a_path_by_its_descriptor(at):
    return read(f"/proc/self/fd/{os.open(at.secret, O_PATH)}")


@files.high(told())
def reads_a_file_through_a_link_of_its_own(at):
    os.symlink(at.secret, f"{at.data}/{at.mark}")
    return read(f"{at.data}/{at.mark}")


@files.high(told())
def reads_a_file_through_a_hard_link_of_its_own(at):
    os.link(at.secret, f"{at.data}/{at.mark}")
    return read(f"{at.data}/{at.mark}")


@files.high(changed())
def moves_a_file_to_its_own_directory(at):
    os.rename(at.secret, f"{at.data}/{at.mark}")


@files.high(changed())
def exchanges_a_file_with_one_of_its_own(at):
    write(f"{at.data}/{at.mark}", b"own")
    call("renameat2", AT_FDCWD, at.secret.encode(), AT_FDCWD, f"{at.data}/{at.mark}".encode(), 2)


@files.high(told())
def reads_a_file_through_the_root_of_its_process(at):
    return read(f"/proc/self/root{at.secret}")


@files.high(told())
def reads_a_file_through_the_working_directory_of_its_process(at):
    os.chdir(at.data)
    return read(f"/proc/self/cwd/{os.path.relpath(at.secret, at.data)}")


@files.high(told())
def reads_a_file_through_the_root_of_a_thread(at):
    return read(f"/proc/thread-self/root{at.secret}")


@files.high(told())
def reads_a_file_with_openat2(at):
    number = call("openat2", AT_FDCWD, at.secret.encode(), struct.pack("QQQ", 0, 0, 0), 24)
    return os.read(number, 4096)


@files.high(told(), needs="a file system with handles, and the right to open by them")
def reads_a_file_by_its_handle(at):
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    call("name_to_handle_at", AT_FDCWD, at.secret.encode(), handle, ctypes.byref(mount), 0)
    return os.read(call("open_by_handle_at", os.open(at.granted, os.O_RDONLY), handle, 0), 4096)


@files.high(told(), needs="the right to look up handles")
def reads_a_file_from_a_copy_of_its_mount(at):
    tree = call("open_tree", AT_FDCWD, at.outside.encode(), 1)  # OPEN_TREE_CLONE
    return read("secret", tree)


@files.high(told())
def lists_a_directory(at):
    return os.listdir(at.outside)


@files.low(told())
def learns_where_a_link_leads(at):
    return os.readlink(f"{at.outside}/link")


@files.high(told(), needs="a file system with extended attributes")
def reads_an_attribute_of_a_file(at):
    return os.getxattr(at.secret, "user.secret")


@files.high(told(), needs="a kernel with getxattrat")
def reads_an_attribute_of_a_file_with_getxattrat(at):
    value = ctypes.create_string_buffer(128)
    where = struct.pack("QII", ctypes.addressof(value), 128, 0)
    call("getxattrat", AT_FDCWD, at.secret.encode(), 0, b"user.secret", where, len(where))
    return value.value


@files.low(Effect(lambda look: look.said == f"size {look.world.size}"))
def learns_that_a_file_exists_and_its_size(at):
    return f"size {os.stat(f'{at.outside}/sized').st_size}"


@files.high(told("hidden"))
def reads_what_is_hidden_in_a_granted_directory(at):
    return read(f"{at.hidden}/secret")


@files.high(told())
def reads_a_key_of_the_user(at):
    return read(f"{at.home}/.ssh/id_ed25519")


def users(look):
    with open("/etc/passwd") as file:
        return look.said == file.read(4096)


@files.low(Effect(users))
def reads_who_the_users_are(at):
    return read("/etc/passwd")


@files.high(told(), asks=True)
def asks_the_host_for_a_file(at):
    return at.host_files.read(at.secret)


@files.high(told(), asks=True)
def asks_the_host_for_a_file_by_a_path_that_climbs(at):
    return at.host_files.read(f"{at.granted}/../../outside/{at.mark}/secret")


@files.high(told(), asks=True)
def asks_the_host_for_a_link_of_its_own(at):
    os.symlink(at.secret, f"{at.data}/{at.mark}")
    return at.host_files.read(f"{at.data}/{at.mark}")


@files.high(told(), asks=True)
def asks_the_host_for_a_file_while_links_change(at):
    here, there = f"{at.data}/{at.mark}", f"{at.data}/{at.mark}-to"
    os.mkdir(f"{at.data}/{at.mark}-own")
    write(f"{at.data}/{at.mark}-own/secret", b"own")
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for target in (f"{at.mark}-own", at.outside):
                os.symlink(target, there)
                os.rename(there, here)

    thread = threading.Thread(target=change)
    thread.start()
    while not os.path.lexists(here):
        pass
    found = []
    try:
        for _ in range(100):
            try:
                found.append(at.host_files.read(f"{here}/secret"))
            except Exception as error:  # noqa: BLE001 - what the host refuses is tried again
                found.append(repr(error))
            time.sleep(0.0005)  # so that the other thread runs where nobody has to be asked
    finally:
        stop.set()
        thread.join()
    return found


@files.high(told(), asks=True)
def asks_the_host_what_is_in_a_directory(at):
    return at.host_files.entries(at.outside)


@files.high(Effect(lambda look: look.said == f"size {look.world.size}"), asks=True)
def asks_the_host_how_large_a_file_is(at):
    return f"size {at.host_files.size(f'{at.outside}/sized')}"


@files.high(changed("granted"), asks=True)
def asks_the_host_to_write_what_it_may_read(at):
    at.host_files.write(at.text, b"changed")


@files.high(changed("granted"), asks=True)
def asks_the_host_to_remove_what_it_may_read(at):
    at.host_files.remove(at.text)


@files.high(changed(), asks=True)
def asks_the_host_to_move_a_file(at):
    at.host_files.rename(at.secret, f"{at.data}/{at.mark}")


@files.high(changed(), asks=True)
def asks_the_host_to_make_a_directory(at):
    at.host_files.make_directory(f"{at.outside}/made")


@files.high(told("hidden"), asks=True)
def asks_the_host_for_what_is_hidden(at):
    return at.host_files.read(f"{at.hidden}/secret")


def write(path, data, flags=os.O_WRONLY | os.O_CREAT):
    number = os.open(path, flags, 0o644)
    try:
        os.write(number, data)
    finally:
        os.close(number)


@files.high(changed())
def writes_a_file(at):
    write(at.secret, b"changed")


@files.high(changed())
def makes_a_file(at):
    write(f"{at.outside}/new", b"new")


@files.high(changed("granted"))
def writes_a_file_that_it_may_read(at):
    write(at.text, b"changed", os.O_WRONLY)


@files.high(changed("granted"))
def appends_to_a_file_that_it_may_read(at):
    write(at.text, b"more", os.O_WRONLY | os.O_APPEND)


@files.high(changed("granted"))
def writes_through_the_descriptor_of_a_file_that_it_may_read(at):
    write(f"/proc/self/fd/{os.open(at.text, os.O_RDONLY)}", b"changed", os.O_WRONLY)


@files.high(changed("granted"))
def writes_to_the_memory_of_a_file_that_it_may_read(at):
    mmap.mmap(os.open(at.text, os.O_RDWR), 4)[:4] = b"made"


@files.high(changed("granted"))
def truncates_a_file_that_it_may_read(at):
    os.truncate(at.text, 0)


@files.high(changed("granted"))
def truncates_a_file_by_opening_it_to_read(at):
    os.open(at.text, os.O_RDONLY | os.O_TRUNC)


@files.high(changed("granted"))
def truncates_a_file_by_opening_it_for_nothing(at):
    os.open(at.text, os.O_ACCMODE | os.O_TRUNC)


@files.low(holds(r"/outside/\w+/secret$"))
def opens_a_file_for_nothing(at):
    at.keep(os.open(at.secret, os.O_ACCMODE))


@files.high(changed("granted"))
def makes_a_file_that_it_may_read_longer(at):
    os.posix_fallocate(os.open(at.text, os.O_RDWR), 0, 4096)


@files.high(changed("granted"))
def removes_a_file_that_it_may_read(at):
    os.unlink(at.text)


@files.high(changed("granted"))
def puts_a_file_of_its_own_in_the_place_of_another(at):
    write(f"{at.data}/{at.mark}", b"own")
    os.rename(f"{at.data}/{at.mark}", at.text)


@files.high(changed("granted"))
def makes_a_file_where_it_may_read(at):
    write(f"{at.granted}/new", b"new")


@files.high(changed("granted"))
def makes_a_file_without_a_name_where_it_may_read(at):
    number = os.open(at.granted, os.O_TMPFILE | os.O_RDWR, 0o644)
    call(
        "linkat", AT_FDCWD, f"/proc/self/fd/{number}".encode(), AT_FDCWD, f"{at.granted}/new".encode(), 0x400
    )


@files.high(changed("granted"))
def makes_a_directory_where_it_may_read(at):
    os.mkdir(f"{at.granted}/new")


@files.high(changed("granted"))
def makes_a_link_where_it_may_read(at):
    os.symlink("/etc/passwd", f"{at.granted}/new")


@files.high(changed("granted"))
def changes_the_mode_of_a_file(at):
    os.chmod(at.text, 0o777)


@files.high(changed("granted"))
def changes_the_mode_of_an_open_file(at):
    os.fchmod(os.open(at.text, os.O_RDONLY), 0o777)


@files.high(changed("granted"), needs="a kernel with fchmodat2")
def changes_the_mode_of_a_file_with_fchmodat2(at):
    call("fchmodat2", AT_FDCWD, at.text.encode(), 0o777, 0)


@files.high(changed())
def changes_the_mode_of_a_file_elsewhere(at):
    os.chmod(at.secret, 0o777)


@files.high(changed("granted"))
def changes_the_times_of_a_file(at):
    os.utime(at.text, (1, 1))


@files.high(changed("granted"))
def changes_the_times_of_an_open_file(at):
    os.utime(os.open(at.text, os.O_RDONLY), (1, 1))


@files.high(changed())
def sets_the_times_of_a_file_elsewhere_to_now(at):
    os.utime(at.secret)


@files.high(changed("granted"), needs="a file system with extended attributes")
def gives_a_file_an_attribute(at):
    os.setxattr(at.text, "user.made", b"made")


@files.high(changed("granted"), needs="a file system with extended attributes")
def gives_an_open_file_an_attribute(at):
    os.setxattr(os.open(at.text, os.O_RDONLY), "user.made", b"made")


@files.high(changed(), needs="a file system with extended attributes")
def takes_an_attribute_from_a_file(at):
    os.removexattr(at.secret, "user.secret")


@files.high(changed("granted"), needs="the right to give files away")
def gives_a_file_to_somebody_else(at):
    os.chown(at.text, 12345, -1)


def flags(path):
    """The flags that a file system keeps with a file."""
    with open(path) as file:
        return fcntl.ioctl(file, 0x80086601, bytes(8))  # FS_IOC_GETFLAGS


@files.high(
    Effect(
        lambda look: flags(f"{look.world.place('granted', look.name)}/text") != look.before,
        lambda look: flags(f"{look.world.place('granted', look.name)}/text"),
    ),
    needs="a file system with flags",
)
def gives_a_file_a_flag(at):
    number = os.open(at.text, os.O_RDONLY)
    now = struct.unpack("q", flags(at.text))[0]
    fcntl.ioctl(number, 0x40086602, struct.pack("q", now | 0x80))  # FS_IOC_SETFLAGS: FS_NOATIME_FL


@files.low(
    Effect(lambda look: is_locked(f"{look.world.place('granted', look.name)}/text")),
)
def locks_a_file_that_it_may_read(at):
    at.keep(number := os.open(at.text, os.O_RDONLY))
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path):
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@files.high(made(is_device), needs="the right to make devices")
def makes_a_device(at):
    os.mknod(f"{at.data}/{at.mark}", 0o20666, os.makedev(1, 1))


@files.low(made(is_socket))
def makes_a_socket_with_a_path(at):
    at.keep(one := socket.socket(socket.AF_UNIX))
    one.bind(f"{at.data}/{at.mark}")


@files.low(made(is_socket))
def makes_the_node_of_a_socket(at):
    os.mknod(f"{at.data}/{at.mark}", 0o140666)


@files.high(made(runs_as_another))
def makes_a_file_that_runs_as_the_user(at):
    os.close(os.open(f"{at.data}/{at.mark}", os.O_CREAT | os.O_WRONLY, 0o4755))


@files.high(made(runs_as_another))
def makes_its_file_run_as_the_user(at):
    write(f"{at.data}/{at.mark}", b"")
    os.chmod(f"{at.data}/{at.mark}", 0o6755)


@files.high(made(runs_as_another))
def makes_its_open_file_run_as_the_user(at):
    number = os.open(f"{at.data}/{at.mark}", os.O_CREAT | os.O_WRONLY)
    os.fchmod(number, 0o4755)


@files.high(made(runs_as_another), needs="a kernel with fchmodat2")
def makes_its_file_run_as_the_user_with_fchmodat2(at):
    write(f"{at.data}/{at.mark}", b"")
    call("fchmodat2", AT_FDCWD, f"{at.data}/{at.mark}".encode(), 0o4755, 0)


@files.low(watches("outside"))
def watches_a_directory(at):
    at.keep(watch := call("inotify_init1", 0))
    call("inotify_add_watch", watch, at.outside.encode(), 0xFFF)


@files.low(holds(r"fanotify"), needs="the right to watch a file system")
def watches_all_files(at):
    at.keep(call("fanotify_init", 0, 0))


@files.high(told(), needs="a kernel that lets this user have io_uring")
def reads_a_file_with_io_uring(at):
    return read_by_ring(at.secret)


def read_by_ring(path):
    """Open and read a file with submissions alone: IORING_OP_OPENAT, IORING_OP_READ."""
    parameters = ctypes.create_string_buffer(120)
    ring = call("io_uring_setup", 4, parameters)
    submission = struct.unpack_from("10I", parameters.raw, 40)  # struct io_sqring_offsets
    entries, _ = struct.unpack_from("2I", parameters.raw)
    completion = struct.unpack_from("10I", parameters.raw, 80)
    size = 4096 * 4
    sq, cq = mmap.mmap(ring, size), mmap.mmap(ring, size, offset=0x8000000)
    slots = mmap.mmap(ring, entries * 64, offset=0x10000000)
    name, text = ctypes.create_string_buffer(path.encode()), ctypes.create_string_buffer(4096)

    def submit(operation, descriptor, address, length):
        tail = struct.unpack_from("I", sq, submission[1])[0]
        slots[:64] = struct.pack("BBHiQQII", operation, 0, 0, descriptor, 0, address, length, 0).ljust(
            64, b"\0"
        )
        struct.pack_into("I", sq, submission[6] + 4 * (tail % entries), 0)
        struct.pack_into("I", sq, submission[1], tail + 1)
        call("io_uring_enter", ring, 1, 1, 1, None, 0)
        head = struct.unpack_from("I", cq, completion[0])[0]
        result = struct.unpack_from("Qi", cq, completion[5] + 16 * (head % (entries * 2)))[1]
        struct.pack_into("I", cq, completion[0], head + 1)
        return result

    opened = submit(18, AT_FDCWD, ctypes.addressof(name), 0)
    submit(22, opened, ctypes.addressof(text), 4096)
    return text.value


@files.high(alters(lambda world: os.listdir(f"{world.partly}/hidden")))
def makes_a_file_where_all_is_hidden(at):
    write(f"{at.hidden}/{at.mark}", b"made")
