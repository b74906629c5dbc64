"""What END says: errors in their bounds."""

import json

from .frames import END_BYTES, MESSAGE_BYTES, TRACE_BYTES, TYPE_BYTES, Violation

CODES = ("function_error", "out_of_memory", "invalid_response", "response_too_large")
TOO_LARGE = {"code": "response_too_large", "message": "the response is larger than its limit"}


def invalid(message):
    return {"code": "invalid_response", "message": message}


def died(exit_, out_of_memory, is_script, last_line):
    """The error of a process that ended without an answer."""
    if out_of_memory:
        return {"code": "out_of_memory", "message": "the kernel ended the function: out of memory"}
    if exit_["signal"]:
        message = "the function was ended by %s" % exit_["signal"]
    elif is_script:
        message = last_line or "the script ended with status %d" % exit_["code"]
    else:
        message = "the function exited before it answered, with status %d" % exit_["code"]
    return {"code": "function_error", "type": "Exit", "message": message}


def clip(text, most_bytes):
    """`text` cut to at most `most_bytes` of UTF-8; what cannot be encoded becomes a question mark."""
    data = text.encode("utf-8", "replace")
    return data[:most_bytes].decode("utf-8", "ignore")


def parse(payload):
    """The worker's END, reduced to what may go on. Raises Violation: function code can have written it."""
    try:
        report = json.loads(payload)
        if report["status"] == "ok":
            return {"status": "ok"}
        error = report["error"]
        if report["status"] != "error" or error["code"] not in CODES:
            raise Violation("an end that says nothing")
        bounded = {"code": error["code"], "message": clip(error["message"], MESSAGE_BYTES)}
        for name, most in (("type", TYPE_BYTES), ("trace", TRACE_BYTES)):
            if error.get(name) is not None:
                bounded[name] = clip(error[name], most)
        return {"status": "error", "error": bounded}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Violation("an end that does not parse") from error


def encode(error, exit_, dropped_log_bytes):
    """The payload of END. Escapes can make a trace six times as long: it is cut until the frame fits."""
    end = {"status": "error", "error": dict(error)} if error else {"status": "ok"}
    end.update(exit=exit_, droppedLogBytes=dropped_log_bytes)
    while True:
        payload = json.dumps(end, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(payload) <= END_BYTES or not error:
            return payload
        trace = end["error"].get("trace", "")
        end["error"]["trace"] = trace[: len(trace) // 2]
