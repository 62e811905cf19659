r"""A program that a model wrote, in a process that can compute and nothing else.

`python -P -S confined.py SPEC REPORT` reads `{"program", "tests", "token", "memory_mb",
"seconds"}` as JSON from the descriptor SPEC, gives up what it may do, and runs program and tests.
On REPORT it writes the token when all has run, or an error. Imports the standard library only: it
runs without cord and without site-packages.

What holds it, by the kernel: a seccomp filter (no sockets, no further processes, no signals to
others, no file written, made, renamed or removed), limits on processor time and address space, and
the parent's kill at the time limit. By the interpreter: an audit hook (only the standard library's
files are read, no foreign functions), which keeps other files' contents out of error messages.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_FILTER = 2
_SIGKILL = 9
_X86_64 = 0xC000003E
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_WRITES = 0x243  # O_WRONLY | O_RDWR | O_CREAT | O_TRUNC
_CLONE_THREAD = 0x10000
_CLONE, _CLONE3, _OPEN, _OPENAT, _OPENAT2 = 56, 435, 2, 257, 437
_REFUSED = (
    # socket, connect, accept, sendto, sendmsg, bind, listen, accept4, sendmmsg; socketpair, which
    # asyncio needs, leads nowhere
    *(41, 42, 43, 44, 46, 49, 50, 288, 307),
    # fork, vfork, execve, execveat
    *(57, 58, 59, 322),
    # kill, tkill, tgkill, sigqueueinfo, ptrace, reading and writing others' memory, pidfds
    *(62, 129, 200, 234, 297, 101, 310, 311, 424, 434, 438, 440),
    # setrlimit, prlimit64, setpriority, prctl, arch_prctl, seccomp
    *(160, 302, 141, 157, 317),
    # creat, rename, mkdir, rmdir, link, unlink, symlink, chmod, chown, truncate, mknod, utime ...
    *(85, 82, 264, 316, 83, 258, 84, 86, 265, 87, 263, 88, 266, 90, 91, 268, 452, 92, 93, 94, 260),
    *(76, 77, 133, 259, 132, 235, 261, 280, 285, 188, 189, 190, 197, 198, 199, 463, 466),
    # shared memory, message queues and semaphores that outlive it; memory files
    *(29, 30, 31, 64, 66, 68, 69, 71, 240, 241, 319, 447),
    # mounts, namespaces, file handles
    *(165, 166, 155, 161, 272, 308, 303, 304, 428, 429, 430, 431, 432, 433, 442),
    # io_uring, bpf, perf, userfaultfd, keys, modules, kexec, reboot, swap, clocks, names, users
    *(425, 426, 427, 321, 298, 323, 248, 249, 250, 175, 313, 176, 246, 320, 169, 167, 168),
    *(159, 164, 227, 305, 170, 171, 105, 106, 113, 114, 116, 117, 119, 122, 123, 126, 172, 173),
)
"""Numbers of system calls on x86-64."""
_REFUSED_FLAVOURS = {
    72: (8, 10, 15),  # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX would send others a signal
    16: (0x8901, 0x8902, 0x5412),  # ioctl: FIOSETOWN, SIOCSPGRP, TIOCSTI as well
}


def _is_x86_64_linux() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


def _filter() -> bytes:
    """The seccomp filter in classic BPF: 8 bytes an instruction."""

    def load(offset: int) -> bytes:
        return struct.pack("HBBI", 0x20, 0, 0, offset)

    def when(code: int, value: int, skip_else: int) -> bytes:
        return struct.pack("HBBI", code, 0, skip_else, value)

    def give(value: int) -> bytes:
        return struct.pack("HBBI", 0x06, 0, 0, value)

    equal, at_least, any_bit = 0x15, 0x35, 0x45
    number, architecture, first, second, third = 0, 4, 16, 24, 32
    program = [
        load(architecture),
        struct.pack("HBBI", equal, 1, 0, _X86_64),
        give(_KILL),
        load(number),
        when(at_least, 0x40000000, 1),  # the x32 numbers
        give(_REFUSE | _EPERM),
    ]
    for call in _REFUSED:
        program += [when(equal, call, 1), give(_REFUSE | _EPERM)]
    for call in (_CLONE3, _OPENAT2):  # flags behind a pointer: the C library then asks otherwise
        program += [when(equal, call, 1), give(_REFUSE | _ENOSYS)]
    for call, flags in ((_OPEN, second), (_OPENAT, third)):
        program += [
            when(equal, call, 4),
            load(flags),
            when(any_bit, _WRITES, 1),
            give(_REFUSE | _EPERM),
            give(_ALLOW),
        ]
    for call, values in _REFUSED_FLAVOURS.items():
        block = [load(second)]
        for value in values:
            block += [when(equal, value, 1), give(_REFUSE | _EPERM)]
        block.append(give(_ALLOW))
        program += [when(equal, call, len(block)), *block]
    program += [
        when(equal, _CLONE, 4),
        load(first),
        when(any_bit, _CLONE_THREAD, 1),
        give(_ALLOW),
        give(_REFUSE | _EPERM),
        give(_ALLOW),
    ]
    return b"".join(program)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _seal() -> None:
    """Give up everything but computing. Raises OSError where the kernel cannot hold us to it."""
    if not _is_x86_64_linux():
        raise OSError("not Linux on x86-64")
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    instructions = _filter()
    program = _Program(len(instructions) // 8, instructions)
    word = ctypes.c_ulong
    for call in (
        (_PR_SET_PDEATHSIG, word(_SIGKILL), word(0), word(0), word(0)),
        (_PR_SET_DUMPABLE, word(0), word(0), word(0), word(0)),
        (_PR_SET_NO_NEW_PRIVS, word(1), word(0), word(0), word(0)),
        (_PR_SET_SECCOMP, word(_SECCOMP_FILTER), ctypes.byref(program), word(0), word(0)),
    ):
        if prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {call[0]} was refused")


def _limit(memory_mb: int, seconds: float) -> None:
    for which, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, int(seconds) + 2),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(which, (amount, amount))


def _watch() -> None:
    """No foreign functions, and no file but the standard library's."""
    library = tuple(
        os.path.join(os.path.realpath(place), "")
        for place in {os.path.dirname(os.__file__), *(p for p in sys.path if p)}
    )
    realpath, isinstance_ = os.path.realpath, isinstance
    decoded: Any = os.fsdecode
    paths = ("open", "os.listdir", "os.scandir", "os.chdir", "os.walk", "glob.glob")
    refused = ("ctypes.", "socket.connect", "subprocess.", "os.exec", "os.fork", "os.posix_spawn")
    foreign = ("ctypes", "_ctypes")
    busy = False

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal busy
        if event.startswith(refused) or (event == "import" and args[0] in foreign):
            raise PermissionError(f"{event} is not for a program under test")
        if event in paths and args and not busy and not isinstance_(args[0], int):
            busy = True
            try:
                path = realpath(decoded(args[0] if args[0] is not None else "."))
            finally:
                busy = False
            if not (path + "/").startswith(library):
                raise PermissionError(f"{event} of a file is not for a program under test")

    for name in [name for name in sys.modules if name.startswith(("ctypes", "_ctypes"))]:
        del sys.modules[name]
    sys.addaudithook(hook)


def _run(spec: dict[str, str]) -> str:
    """ "" where program and tests ran to their end; else what went wrong, on one line."""
    stage = "the program"
    tests = spec["tests"]
    try:
        checks = compile(tests, "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"the tests are no Python: {error}"[:300]
    try:
        space = {"__name__": "program" if tests else "__main__", "__builtins__": __builtins__}
        exec(compile(spec["program"], "<program>", "exec", dont_inherit=True), space)  # noqa: S102
        stage = "a test"
        exec(checks, space)  # noqa: S102
    except SystemExit as end:
        if stage == "the program" and not tests:
            return "" if not end.code else f"the program ended with status {end.code!r}"[:200]
        return f"{stage} ended the process before the tests were over"
    except BaseException as error:
        return f"{stage} raised {_named(error)}"
    return ""


def _named(error: BaseException) -> str:
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<program>", "<tests>"):
            line = f" in line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename[1:-1]}"
        trace = trace.tb_next
    try:
        message = " ".join(str(error)[:300].split())[:200]
    except BaseException:
        message = ""
    return f"{type(error).__name__}{line}" + (f": {message}" if message else "")


def main() -> None:
    """Run what SPEC says."""
    spec_at, report_at = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(spec_at, "rb") as file:
        spec = json.loads(file.read())
    token = spec.pop("token")
    report = os.write
    sys.argv = ["program"]
    try:
        _limit(int(spec["memory_mb"]), float(spec["seconds"]))
        _seal()
        _watch()
    except (OSError, ValueError) as error:
        report(report_at, f"unsealed {error}".encode())
        return
    failed, leave = _run(spec), os._exit
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    told = f"failed {failed}" if failed else f"passed {token}"
    report(report_at, told.encode("utf-8", "replace"))
    leave(0)  # whatever threads the program has left


if __name__ == "__main__":
    main()
