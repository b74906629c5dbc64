"""The C library's own buffers. What native code prints must be in the pipe before the answer is."""


def _call(name, *arguments):
    import _ctypes  # a tenth of the cost of ctypes, but private to CPython: every use is allowed to fail

    return _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 0), name), arguments)


def unbuffer():
    """Makes C's stdout write at once, so that native prints keep their place among the others (glibc only)."""
    try:
        import _ctypes

        class Pointer(_ctypes._SimpleCData):
            _type_ = "P"

        stdout = _ctypes.dlsym(_ctypes.dlopen(None, 0), "_IO_2_1_stdout_")
        _call("setvbuf", Pointer(stdout), None, 2, Pointer(0))
    except Exception:
        pass


def flush():
    """fflush(NULL)."""
    try:
        _call("fflush", None)
    except Exception:
        pass
