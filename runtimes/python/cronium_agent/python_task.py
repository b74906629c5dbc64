"""Runs one Python function in the worker."""

import base64  # noqa: F401  (used by the helper: imported here, while the sandbox is warm)
import io
import os
import sys
import time
import types

from . import frames, native, source
from .frames import TooLarge
from .helper import Helper
from .response import Invalid, Responder, is_async_iterator, is_head, is_iterator, result
from .variables import Variables


class Context:
    """What a handler gets beside the event."""

    def __init__(self, call):
        self.aws_request_id = call.get("invocationId")
        self.function_name = call.get("functionName")
        self.function_version = call.get("functionVersion")
        self.memory_limit_in_mb = call.get("memoryMb")
        self._deadline_ms = call.get("deadlineMs") or 0

    def get_remaining_time_in_millis(self):
        """Milliseconds until the gateway ends the call; 0 when they are over."""
        return max(0, int(self._deadline_ms - time.time() * 1000))


class Loader:
    """Gives tracebacks and `inspect` the source, which is in no file."""

    def __init__(self, code):
        self._code = code

    def get_source(self, name=None):
        return self._code


def run(call, uplink, outputs, down):
    """Compiles, loads and runs the code, and sends the answer. Does not return. `down` is where answers to calls come."""
    name = str(call.get("handler") or "handler").rpartition(".")[2]
    try:
        code, kind = source.compile_source(call["code"], name)
    except BaseException as error:
        code, kind, fault = None, source.HANDLER, error
    uplink.send_json(
        frames.PLAN,
        {
            "limits": call["limits"],
            "script": kind != source.HANDLER,
            "stdout": "merged" if kind == source.HANDLER else "held",
            "output": None,
        },
    )
    outputs.apply(kind != source.HANDLER)
    task = Task(call, uplink, down)
    if code is None:
        task.fail(fault)
    task.run(code, kind, name)


def rehearse():
    """Runs the ways of a call once while nobody waits: a first pass costs several times as much as the second."""
    native.unbuffer()
    native.flush()
    code, _ = source.compile_source("def handler(event, context):\n    return 1\n", "handler")
    module = types.ModuleType("rehearsal")
    exec(code, module.__dict__)
    result(module.handler(None, Context({})), 64)


def open_text_streams():
    """Text streams that write through, as `python -u` does: prints keep their order among those of children."""
    for descriptor, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        raw = io.FileIO(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(raw, "utf-8", errors, newline="\n", write_through=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


class Task:
    """One run of the function."""

    def __init__(self, call, uplink, down):
        self._call = call
        self._uplink = uplink
        self._responder = Responder(uplink, call["limits"])
        self._helper = Helper(call.get("event"))
        self._variables = Variables(uplink, down, call["limits"].get("calls"))

    def run(self, code, kind, name):
        try:
            module = self._module("main" if kind != source.SCRIPT else "__main__")
            exec(code, module.__dict__)
            handler = module.__dict__.get(name)
            if not callable(handler) or (kind == source.SCRIPT and isinstance(handler, type)):
                self._finish_script()
            if kind != source.HANDLER:
                self._become_handler()
            self._respond(handler(self._call.get("event"), Context(self._call)))
        except SystemExit as leaving:
            self._leave(leaving, kind)
        except BaseException as error:
            self.fail(error)

    def _module(self, name):
        module = types.ModuleType(name)
        module.__file__ = source.FILENAME
        module.__loader__ = Loader(self._call["code"])
        module.__builtins__ = __builtins__
        sys.modules["main"] = sys.modules["__main__"] = module
        sys.modules["cronium"] = helper = self._helper.module()
        self._variables.install(helper)
        sys.argv = [source.FILENAME]
        return module

    def _become_handler(self):
        """Only running the code showed that it defines a handler; from here on its stdout is log."""
        os.dup2(2, 1)
        self._uplink.send((frames.HANDLER_FOUND, b""))

    # Responses

    def _respond(self, value):
        if hasattr(type(value), "__await__") or is_async_iterator(_stream_of(value)):
            self._respond_async(value)
        stream = _stream_of(value)
        if not is_iterator(stream):
            self._finish(self._responder.whole(value))
        if stream is not value:
            self._responder.head(value)
        for chunk in stream:
            self._responder.chunk(chunk)
        self._responder.end()
        self._finish([])

    def _respond_async(self, value):
        import asyncio

        async def drive():
            # The answer leaves from within the loop: closing it would wait for tasks and threads that never end.
            try:
                answer = await value if hasattr(type(value), "__await__") else value
                stream = _stream_of(answer)
                if not is_async_iterator(stream):
                    self._respond(answer)
                if stream is not answer:
                    self._responder.head(answer)
                async for chunk in stream:
                    self._responder.chunk(chunk)
                self._responder.end()
                self._finish([])
            except SystemExit as leaving:
                self._leave(leaving, source.HANDLER)
            except BaseException as error:
                self.fail(error)

        asyncio.run(drive())

    def _finish_script(self):
        """What the interpreter does at the end of a file: waits for threads, runs atexit, flushes."""
        _end_interpreter()
        answer = self._responder.whole(self._helper.value) if self._helper.has_output else []
        self._finish(answer)

    def _leave(self, leaving, kind):
        """`sys.exit`: a script may end with 0; a handler has not answered."""
        status = _exit_status(leaving.code)
        if kind == source.SCRIPT and status == 0:
            try:
                self._finish_script()
            except BaseException as error:
                self.fail(error)
        if kind == source.SCRIPT:
            _end_interpreter()
        _flush()
        os._exit(status)

    # The end

    def _finish(self, answer):
        _flush()
        self._uplink.send(*answer, (frames.END, b'{"status":"ok"}'))
        self._uplink.rest()

    def fail(self, error):
        """Reports an error and ends the process."""
        if isinstance(error, Invalid):
            report = {"code": "invalid_response", "message": str(error)}
        elif isinstance(error, TooLarge):
            report = {"code": "response_too_large", "message": "the response is larger than its limit"}
        else:
            from .failure import describe

            report = describe(error)
        _flush()
        self._uplink.send_json(frames.END, {"status": "error", "error": report})
        os._exit(1)


def _stream_of(value):
    """What of a returned value may be a stream: itself, or the body of a response object."""
    return value.get("body") if is_head(value) else value


def _exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _end_interpreter():
    if "threading" in sys.modules:
        try:
            sys.modules["threading"]._shutdown()
        except Exception:
            pass
    import atexit

    atexit._run_exitfuncs()


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # closed, replaced or broken by the function
    native.flush()
