"""policy.py as a kernel filter: the program is made here, instruction by instruction, and installed for good.

Classic BPF. Each instruction is (code, jump if true, jump if false, value), and a jump skips that many.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import struct

from executor_worker.sandbox import linux, policy
from executor_worker.sandbox.policy import Condition, Examined
from executor_worker.sandbox.syscalls import TABLES

Instruction = tuple[int, int, int, int]

_LOAD_WORD = 0x20
_AND = 0x54
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06

_KILL_PROCESS = 0x8000_0000
_ALLOW = 0x7FFF_0000
_FAIL_WITH = 0x0005_0000

# struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits (little-endian on both).
_NUMBER_AT = 0
_ARCHITECTURE_AT = 4
_ARGUMENTS_AT = 16
_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


def assemble(own_pid: int, machine: str = linux.MACHINE) -> list[Instruction]:
    """The filter for one process, which `own_pid` is: some calls may be made about oneself alone."""
    return [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        # The numbers below mean other calls in another mode of the processor (int 0x80): no second guess.
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        *_examined(own_pid, machine),
        *_unconditional(machine),
        # Calls newer than this list, and the x32 ones (numbers from 2**30 on), do not exist here.
        (_RETURN, 0, 0, _FAIL_WITH | errno.ENOSYS),
    ]


def install(own_pid: int) -> None:
    """Filter this thread's calls from now on, and those of every thread it starts. Needs no_new_privs."""
    linux.numbers_known()
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in assemble(own_pid))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    linux.prctl(linux.PR_SET_SECCOMP, linux.SECCOMP_MODE_FILTER, program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


@functools.cache
def _unconditional(machine: str) -> tuple[Instruction, ...]:
    # The kernel works out once which numbers are always allowed and never runs the filter for them, so the order
    # of this long list costs nothing.
    table = TABLES[machine]
    answers = {table[name]: _ALLOW for name in policy.ALLOWED if name in table}
    answers |= {table[name]: _FAIL_WITH | errno.EPERM for name in policy.REFUSED if name in table}
    return tuple(
        instruction
        for number, answer in sorted(answers.items())
        for instruction in ((_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer))
    )


def _examined(own_pid: int, machine: str) -> list[Instruction]:
    instructions: list[Instruction] = []
    for name, rule in policy.EXAMINED.items():
        if (number := TABLES[machine].get(name)) is not None:
            block = _examination(rule, own_pid)
            instructions += [(_JUMP_IF_EQUAL, 0, len(block), number), *block]
    return instructions


def _examination(rule: Examined, own_pid: int) -> list[Instruction]:
    """Never falls through: it ends in an answer, so what follows still finds the call's number loaded."""
    block: list[Instruction] = []
    for condition in rule.conditions:
        block += _demand(condition, rule.otherwise, own_pid)
    return [*block, (_RETURN, 0, 0, _ALLOW)]


def _demand(condition: Condition, otherwise: int, own_pid: int) -> list[Instruction]:
    values = [own_pid if value == policy.OWN_PID else value for value in condition.values]
    return [
        (_LOAD_WORD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument),
        (_AND, 0, 0, condition.mask),
        *((_JUMP_IF_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)),
        (_RETURN, 0, 0, _FAIL_WITH | otherwise),
    ]
