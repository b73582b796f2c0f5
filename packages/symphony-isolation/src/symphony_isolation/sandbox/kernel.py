"""Calls the Linux kernel where Python has no function for it; numbers are those of `asm/unistd.h`."""

import ctypes
import errno
import os
import platform
from typing import Final

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The machines whose system calls are known, with their `AUDIT_ARCH_*`."""

MACHINE: Final = platform.machine()

# name: (x86_64, aarch64); None where the machine does not have it
_NUMBERS: Final[dict[str, tuple[int | None, int]]] = {
    "accept": (43, 202),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bind": (49, 200),
    "bpf": (321, 280),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "connect": (42, 203),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "file_setattr": (469, 469),
    "finit_module": (313, 273),
    "fremovexattr": (199, 16),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "ftruncate": (77, 46),
    "get_mempolicy": (239, 236),
    "getxattr": (191, 8),
    "getxattrat": (464, 464),
    "init_module": (175, 105),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lgetxattr": (192, 9),
    "listen": (50, 201),
    "listmount": (458, 458),
    "listxattr": (194, 11),
    "listxattrat": (465, 465),
    "llistxattr": (195, 12),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "lsm_set_self_attr": (460, 460),
    "mbind": (237, 235),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mknodat": (259, 33),
    "mlockall": (151, 230),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "openat": (257, 56),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "removexattrat": (466, 466),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "seccomp": (317, 277),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setrlimit": (160, 164),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "truncate": (76, 45),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utimensat": (280, 88),
    "vhangup": (153, 58),
}

# those that only x86_64 has
_OLD: Final = {
    "_sysctl": 156,
    "chmod": 90,
    "chown": 92,
    "creat": 85,
    "create_module": 174,
    "fork": 57,
    "futimesat": 261,
    "get_kernel_syms": 177,
    "inotify_init": 253,
    "ioperm": 173,
    "iopl": 172,
    "lchown": 94,
    "mknod": 133,
    "modify_ldt": 154,
    "nfsservctl": 180,
    "open": 2,
    "query_module": 178,
    "sysfs": 139,
    "uselib": 134,
    "ustat": 136,
    "utime": 132,
    "utimes": 235,
    "vfork": 58,
}

_COLUMN: Final = 0 if MACHINE == "x86_64" else 1

NUMBERS: Final[dict[str, int]] = {
    name: number for name, both in _NUMBERS.items() if (number := both[_COLUMN]) is not None
} | (_OLD if _COLUMN == 0 else {})
"""Number of each system call that the sandbox knows, on this machine."""

NEWEST: Final = 469
"""The highest number of a system call that was looked at; what is newer does not exist in the sandbox."""

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 6]  # which takes numbers, bytes and None alike


_UNUSED: Final = 6 * (0,)


def syscall(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call, and give what it returns.

    Args:
        name: Which.
        arguments: At most six: numbers, bytes, None for a null pointer.

    Raises:
        OSError: The kernel refused.
    """
    result: int = _syscall(NUMBERS[name], *arguments, *_UNUSED[len(arguments) :])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int = 0) -> int:
    """Make the system call prctl(2), and give what it returns.

    Args:
        option: `PR_*`.
        value: Its argument; the others are 0.

    Raises:
        OSError: The kernel refused.
    """
    return syscall("prctl", option, value, 0, 0, 0)


def offers(name: str, *arguments: int | bytes | None) -> bool:
    """Whether the kernel knows a system call, tried with arguments that it cannot take.

    Args:
        name: Which.
        arguments: Such that it fails.
    """
    try:
        syscall(name, *arguments)
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True
