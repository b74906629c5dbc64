"""Asks the kernel what a seccomp filter makes of system calls, without making them: kernel.py FILTER < CALLS.

CALLS is a JSON list of [number, argument, ...], of up to five arguments, as words in decimal text. Prints, of each, the errno that the filter refused
it with, 0 for one that it lets through, or the name of the signal that it ended the process with.

A second filter below the one in question refuses whatever has MARK as its sixth argument: of two filters the stricter decides, and of
two that are as strict the younger. So what the filter allows is refused by the other, and by an errno that no filter here gives.
"""
import ctypes
import json
import os
import signal
import struct
import sys

MARK, ALLOWED = 0x5EC0, 133
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SIXTH_ARGUMENT = 16 + 8 * 5
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def install(program):
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    words = [ctypes.c_ulong(word) for word in (SECCOMP_MODE_FILTER, 0, 0)]
    if libc.prctl(PR_SET_SECCOMP, words[0], ctypes.create_string_buffer(header, len(header)), *words[1:]) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not take the filter: " + os.strerror(ctypes.get_errno()))


def below():
    instructions = ((LOAD, 0, 0, SIXTH_ARGUMENT), (JUMP_IF_EQUAL, 0, 1, MARK), (RETURN, 0, 0, SECCOMP_RET_ERRNO | ALLOWED), (RETURN, 0, 0, SECCOMP_RET_ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)


def answers(calls, writer):
    """One line a call, each written before the next call is made: the last may be the end."""
    for number, *arguments in calls:
        words = [int(word) for word in (number, *arguments, *["0"] * (5 - len(arguments)))]
        ctypes.set_errno(0)
        if libc.syscall(*(ctypes.c_ulong(word & (2**64 - 1)) for word in (*words, MARK))) != -1:
            raise RuntimeError(f"{words} was served")
        refused = ctypes.get_errno()
        os.write(writer, b"%d\n" % (0 if refused == ALLOWED else refused))


def begin(program, calls):
    """Answers to some of the calls, up to one that ends the process: then with its signal."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        install(below())
        install(program)
        answers(calls, writer)
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        found = [int(line) for line in file]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status > 0:
        sys.exit(f"it ended with {status}, at {calls[len(found)]}")
    return [*found, signal.Signals(-status).name] if status < 0 else found


libc.prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(word) for word in (1, 0, 0, 0)))
with open(sys.argv[1], "rb") as file:
    filter_in_question = file.read()
wanted, said = json.load(sys.stdin), []
while len(said) < len(wanted):
    said += begin(filter_in_question, wanted[len(said):])
print(json.dumps(said))
