"""Which system calls a student's program may make. An allow-list: what is not named here does not exist.

Found by running numpy, pandas, matplotlib, altair, asyncio, threads and sqlite under the filter, and checked
by tests/executor_worker/sandbox/test_policy.py. The numbers are in syscalls.py, the filter in seccomp.py.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

OWN_PID = -1  # Stands for the process's own number, known only when its filter is made.
ANY_BIT = 0xFFFF_FFFF

# Calls without conditions. What a program does to its own memory, threads, clocks and open files hurts nobody;
# which files it can open is for the mounts and for landlock to say.
ALLOWED = (
    # Open files.
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "close", "close_range"),
    *("open", "openat", "creat", "dup", "dup2", "dup3", "pipe", "pipe2", "fsync", "fdatasync", "fadvise64"),
    *("truncate", "ftruncate", "fallocate", "sendfile", "copy_file_range"),
    *("poll", "ppoll", "select", "pselect6", "eventfd", "eventfd2"),
    *("epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
    # Names of files.
    *("stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2"),
    *("getdents", "getdents64", "getcwd", "chdir", "fchdir", "readlink", "readlinkat", "umask"),
    *("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2"),
    *("chmod", "fchmod", "fchmodat", "utime", "utimes", "futimesat", "utimensat"),
    # Memory.
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "msync", "membarrier"),
    # Threads and waiting.
    *("futex", "set_robust_list", "set_tid_address", "rseq", "gettid", "exit", "exit_group", "restart_syscall"),
    *("sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu", "getpriority"),
    *("sched_get_priority_max", "sched_get_priority_min", "wait4", "waitid"),
    # Signals to oneself, handlers, timers.
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait"),
    *("sigaltstack", "pause", "alarm", "getitimer", "setitimer"),
    # Time, chance, and who am I.
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrandom"),
    *("getpid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid", "getgroups"),
    *("getresuid", "getresgid", "uname", "sysinfo", "getrusage", "getrlimit", "setrlimit"),
    # Both ends of a pair of sockets; see socketpair below for why they lead nowhere else.
    *("sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "getsockname", "getpeername", "getsockopt"),
)


@dataclass(frozen=True)
class Condition:
    """Argument number `argument`, under `mask`, is one of `values`. The low 32 bits: all the kernel looks at, here."""

    argument: int
    values: tuple[int, ...]
    mask: int = ANY_BIT


@dataclass(frozen=True)
class Examined:
    """Allowed when every condition holds, else the program sees `otherwise`."""

    conditions: tuple[Condition, ...]
    otherwise: int = errno.EPERM


def _never(otherwise: int) -> Examined:
    return Examined((Condition(0, ()),), otherwise)


_MY_OWN = Condition(0, (OWN_PID,))

# CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, and CLONE_FS | CLONE_FILES: a thread with descriptors of its own could
# hold 64 more, and the kernel's buffers behind them, for each of its kind.
_CLONE_THREAD = 0x0001_0000 | 0x0000_0100 | 0x0000_0800 | 0x0000_0200 | 0x0000_0400
_CLONE_NEW_ANYTHING = 0x0000_0080 | 0x0002_0000 | 0x7E00_0000  # Every CLONE_NEW* flag, NEWTIME included.
_CLONE_PARENT_OR_VFORK = 0x0000_8000 | 0x0000_4000

_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_SETLK, _F_SETLKW, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 6, 7, 1030
_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX = 0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451
_PR_SET_NAME, _PR_GET_NAME = 15, 16

EXAMINED: dict[str, Examined] = {
    # A new thread, never a new process: limits that count per process then hold for the whole run.
    "clone": Examined((Condition(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NEW_ANYTHING | _CLONE_PARENT_OR_VFORK),)),
    # Its flags are in memory, where no filter can look. "No such call" sends the C library back to clone.
    "clone3": _never(errno.ENOSYS),
    # Without a process namespace everybody of the same user is in reach: only oneself may be signalled.
    "kill": Examined((_MY_OWN,)),
    "tgkill": Examined((_MY_OWN,)),
    "rt_sigqueueinfo": Examined((_MY_OWN,)),
    "prlimit64": Examined((Condition(0, (0, OWN_PID)),)),
    # asyncio wakes itself by such a pair. Not of datagrams: those could be sent on to any socket with a name.
    "socketpair": Examined((Condition(0, (socket.AF_UNIX,)), Condition(1, (socket.SOCK_STREAM,), 0xF))),
    # SQLite locks its file by SETLK. GETLK would show one program the read locks of another on a shared file.
    "fcntl": Examined(
        (Condition(1, (_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_SETLK, _F_SETLKW, _F_DUPFD_CLOEXEC)),)
    ),
    # isatty(), and what select-driven code asks. "Not a terminal" is what programs expect to hear.
    "ioctl": Examined((Condition(1, (_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX)),), errno.ENOTTY),
    "prctl": Examined((Condition(0, (_PR_SET_NAME, _PR_GET_NAME)),)),
    # shutil.copy2 asks for these, and takes "not supported" for an answer.
    **{
        name: _never(errno.ENOTSUP)
        for name in (
            *("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"),
            *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
        )
    },
}

# Calls somebody may well try. They see "not permitted", which reads better than "no such call", the answer
# to everything that is on no list.
REFUSED = (
    *("fork", "vfork", "execve", "execveat", "memfd_create", "memfd_secret"),
    *("socket", "connect", "bind", "listen", "accept", "accept4", "setsockopt", "sendmmsg", "recvmmsg"),
    *("link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chown", "fchown", "lchown", "fchownat"),
    *("flock", "name_to_handle_at", "open_by_handle_at", "inotify_init", "inotify_init1", "fanotify_init"),
    *("tkill", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd", "pidfd_send_signal"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "perf_event_open", "bpf", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl"),
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "open_tree", "move_mount"),
    *("mount_setattr", "swapon", "swapoff", "quotactl", "sync", "syncfs", "acct"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid"),
    *("capset", "personality", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
    *("setsid", "setpgid", "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam"),
    *("sched_setattr", "ioprio_set", "mlock", "mlock2", "mlockall", "munlock", "munlockall"),
    *("shmget", "shmat", "shmctl", "semget", "semop", "semctl", "msgget", "msgsnd", "msgrcv", "mq_open"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname"),
    *("reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "syslog"),
    *("iopl", "ioperm", "modify_ldt", "vhangup"),
)
