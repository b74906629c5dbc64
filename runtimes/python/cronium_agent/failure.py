"""Describes an exception of the function as the `error` of END."""

from .frames import MESSAGE_BYTES, TRACE_BYTES, TYPE_BYTES
from .outcome import clip
from .source import FILENAME


def describe(error):
    """The error's code, type, message and trace, without the agent's own frames."""
    code = "out_of_memory" if isinstance(error, MemoryError) else "function_error"
    message = _text(error)
    try:
        trace = _trace(error)
    except Exception:
        trace = "%s: %s" % (type(error).__name__, message)  # an exception whose own methods raise
    return {
        "code": code,
        "type": clip(type(error).__name__, TYPE_BYTES),
        "message": clip(message, MESSAGE_BYTES),
        "trace": clip(trace, TRACE_BYTES),
    }


def _text(error):
    try:
        return str(error)
    except Exception:
        return "<an error that cannot be shown>"


def _trace(error):
    import traceback

    own = error.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename != FILENAME:
        own = own.tb_next
    return "".join(traceback.format_exception(type(error), error, own))
