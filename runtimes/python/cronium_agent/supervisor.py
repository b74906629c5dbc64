"""The process that owns the channel: it starts the worker before the call comes, and reports how the call ended.

The worker runs code that may do anything, so whatever comes from it is checked and bounded here.
"""

import json
import os
import select
import signal
import sys
import time

from . import frames, outcome, processes
from .channel import ChannelClosed
from .frames import INVOKE, INVOKE_BYTES, KIB, MIB, Decoder, Oversized, TooLarge, Violation
from .output import Held, Logs, Merged, Stream, Streamed

READ_BYTES = 64 * KIB
# A pipe holds no more than this unless root made it larger: what was printed before the end lies within it.
DRAIN_BYTES = MIB
# Above this many bytes to the gateway the worker is not read any more.
BACKLOG_BYTES = MIB
WORKER_END_BYTES = MIB


def serve(channel, shell):
    """Forks what takes the call, waits for INVOKE, runs the call and stays until the channel closes. Does not return.

    Python code runs in the fork itself; a Bash script in `shell`, which has been started, and the fork only hands over.
    """
    down, up = os.pipe(), os.pipe()
    out, log = (shell.out, shell.log) if shell else (os.pipe(), os.pipe())
    wake = _wake_on_child()
    desk = shell and _desk(shell.directory)
    forked = os.fork()
    if forked == 0:
        for descriptor in (down[1], up[0], out[0], log[0], wake):
            os.close(descriptor)
        channel.close()
        if shell:
            from .bash_task import attend

            attend(shell, down[0], up[1])
        else:
            from .worker import work

            work(down[0], up[1], out[1], log[1])
        os._exit(1)
    for descriptor in (down[0], up[1], *((shell.begin,) if shell else (out[1], log[1]))):
        os.close(descriptor)
    pid = shell.pid if shell else forked
    signal.signal(signal.SIGTERM, lambda *_: _stop(pid, 1))
    processes.harden()
    try:
        supervisor = Supervisor(channel, pid, up[0], out[0], log[0], wake, down[1], desk)
        outcome.encode(None, None, 0)  # a first time, while nobody waits
        _hand_over(channel, pid, down[1], wake)
        supervisor.run()
    except ChannelClosed:
        _stop(pid, 0)
    except Violation as violation:
        sys.stderr.write("cronium agent: %s\n" % violation)
        sys.stderr.flush()
        _stop(pid, 1)


def _desk(directory):
    """Where a Bash script can ask for variables: made while nobody waits."""
    from .bash_calls import Desk

    return Desk(directory)


def _wake_on_child():
    """A descriptor that becomes readable when a child ends. A pidfd would do; not every kernel under gVisor has it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return reading


def _stop(pid, status):
    processes.kill_all(pid)
    os._exit(status)


def _hand_over(channel, pid, down, wake):
    """Waits for INVOKE and passes its payload on as it comes; the worker alone reads it."""
    waiting = select.poll()
    waiting.register(channel.reading, select.POLLIN)
    waiting.register(wake, select.POLLIN)
    while channel.reading not in (ready := [fd for fd, _ in waiting.poll()]):
        if wake in ready:
            os.read(wake, 4096)
            if processes.reap(pid) is not None:
                raise Violation("the worker died before the call")
    _, left = channel.read_header({INVOKE: INVOKE_BYTES})
    prefix = left.to_bytes(4, "big")
    taken = True
    while left or prefix:
        chunk = channel.read_some(min(left, MIB)) if left else b""
        if left and not chunk:
            raise Violation("the channel closed within a frame")
        left -= len(chunk)
        try:
            if taken:
                _write_all(down, prefix + chunk)
        except BrokenPipeError:
            taken = False
        prefix = b""
    if not taken:
        os.kill(pid, signal.SIGKILL)  # its end, which is noted next, tells more; a shell would wait for who has died


def _write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Supervisor:
    """One call, from the worker's first frame to END."""

    def __init__(self, channel, pid, up, out, log, wake, down, desk):
        self._channel = channel
        self._pid = pid
        self._down = down
        self._desk = desk
        self._calls = None  # of the function to the gateway, once there was one
        self._answers = None
        self._up, self._out, self._log, self._wake = up, out, log, wake
        for descriptor in (up, out, log):
            os.set_blocking(descriptor, False)
        self._oom_kills = processes.oom_kills()
        self._limits = {frames.PLAN: READ_BYTES}
        self._decoder = Decoder(self._limits)
        self._poll = select.poll()
        self._poll.register(channel.reading, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        self._reading = set()
        self._paused = set()
        self._writing_polled = False
        self._watch(up, True)
        self._plan = None
        self._exit = None  # END's `exit`, once the process has ended
        self._report = None  # the worker's END
        self._failure = None  # what the supervisor itself found wrong
        self._answered = False  # RESULT has been sent

    def run(self):
        while not self._is_over():
            self._step()
        self._conclude()
        self._linger()

    def _is_over(self):
        if self._failure or self._exit:
            return True
        # Who has answered is done; a script that failed also has a status, which only its end shows.
        return self._report is not None and (self._report["status"] == "ok" or not self._plan["script"])

    # Descriptors

    def _step(self):
        ready = [descriptor for descriptor, _ in self._poll.poll(self._timeout_ms())]
        if self._channel.reading in ready:
            self._check_gateway(ready)
        # The worker's frames first: the plan says where what it prints belongs.
        for descriptor in (self._up, self._log, self._out):
            if descriptor in ready and descriptor in self._reading and not self._is_over():
                self._read(descriptor)
        if self._desk and self._desk.descriptor in ready and not self._is_over():
            self._read(self._desk.descriptor)
        if self._answers and self._answers.descriptor in ready:
            self._answers.flush()
        if self._wake in ready:
            os.read(self._wake, 4096)
            self._note_exit(processes.reap(self._pid))
        if self._plan and self._stdout.due is not None and time.monotonic() >= self._stdout.due:
            self._guard(self._stdout.begin)
        if not self._is_over():
            self._channel.flush()  # else END goes out with the rest, in one piece
            self._balance()

    def _timeout_ms(self):
        due = self._stdout.due if self._plan else None
        return None if due is None else max(0, int((due - time.monotonic()) * 1000) + 1)

    def _check_gateway(self, ready):
        chunk = self._channel.read_some(READ_BYTES)
        if self._calls:
            self._calls.take(chunk)
            self._guard(self._serve_desk)
        elif chunk:
            raise Violation("a frame after INVOKE")
        else:
            raise ChannelClosed

    def _watch(self, descriptor, wanted):
        if wanted and descriptor not in self._reading:
            self._poll.register(descriptor, select.POLLIN)
            self._reading.add(descriptor)
        elif not wanted and descriptor in self._reading:
            self._poll.unregister(descriptor)
            self._reading.remove(descriptor)

    def _balance(self):
        """Stops reading the worker while the gateway is behind, and asks for a chance to write."""
        behind = self._channel.pending_bytes
        if behind:
            self._poll.register(self._channel.writing, select.POLLOUT)
        elif self._writing_polled:
            self._poll.unregister(self._channel.writing)
        self._writing_polled = behind > 0
        if behind > BACKLOG_BYTES:
            for descriptor in list(self._reading):
                self._watch(descriptor, False)
                self._paused.add(descriptor)
        elif self._paused:
            for descriptor in self._paused:
                self._watch(descriptor, True)
            self._paused.clear()

    def _read(self, descriptor):
        """Reads once. Returns how many bytes came; 0 when there are none now or ever again."""
        try:
            chunk = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return 0
        if not chunk:
            self._watch(descriptor, False)
            return 0
        if descriptor == self._up:
            self._guard(self._take_frames, chunk)
        elif descriptor == self._log:
            self._logs.write(chunk)
        elif descriptor == self._out:
            self._guard(self._stdout.write, chunk)
        else:
            self._guard(self._desk.announce, chunk)
            self._guard(self._serve_desk)
        return len(chunk)

    def _drain(self, descriptor):
        """Reads what is there now: a child of the function may hold the pipe open for ever and write all the time."""
        total = 0
        while total <= DRAIN_BYTES and self._failure is None:
            count = self._read(descriptor)
            if count == 0:
                return
            total += count

    def _guard(self, action, *arguments):
        """Runs what may find that the function is at fault, and keeps the first fault."""
        try:
            action(*arguments)
        except (TooLarge, Oversized) as error:
            kind = getattr(error, "kind", frames.RESULT)
            large = kind == frames.RESULT
            self._failure = self._failure or (outcome.TOO_LARGE if large else outcome.invalid(str(error)))
        except Violation as error:
            self._failure = self._failure or outcome.invalid(str(error))

    def _note_exit(self, status):
        if status is None or self._exit:
            return
        self._exit = processes.describe_exit(status)
        # An answer sent just before the end is still in the pipe.
        self._drain(self._up)

    # The worker's frames

    def _take_frames(self, chunk):
        for kind, payload in self._decoder.feed(chunk):
            if self._report is not None:
                raise Violation("a frame after the end")
            if self._plan is None:
                self._begin(json.loads(payload))
            elif kind == frames.HEAD and not (self._stream.begun or self._answered):
                self._stream.head(payload)
            elif kind == frames.DATA and self._stream.begun:
                self._stream.data(payload)
            elif kind == frames.RESULT and not (self._stream.begun or self._answered):
                self._answered = True
                self._channel.queue(frames.RESULT, payload)
            elif kind == frames.HANDLER_FOUND:
                self._become_handler()
            elif kind == frames.CALL:
                self._ask(_parse(payload), self._answer_worker)
            elif kind == frames.END:
                self._report = outcome.parse(payload)
            else:
                raise Violation("frame 0x%02x out of order" % kind)

    def _ask(self, request, deliver):
        if self._calls is None:
            from .calls import Calls

            self._calls = Calls(self._channel, self._plan["limits"].get("calls") or 0)
        self._calls.ask(request, deliver)

    def _answer_worker(self, payload):
        if self._answers is None:
            from .calls import Answers

            self._answers = Answers(self._down, self._poll)
        self._answers.send(payload)

    def _serve_desk(self):
        """Scripts ask from several processes at once: they take turns."""
        while self._desk and self._desk.is_waiting and not (self._calls and self._calls.is_waiting):
            self._desk.serve(self._ask)

    def _begin(self, plan):
        limits = plan["limits"]
        self._logs = Logs(self._channel, limits["logBytes"])
        self._stream = Stream(self._channel, limits["streamBytes"])
        if plan["stdout"] == "held":
            self._stdout = Held(self._logs, self._stream, limits["responseBytes"])
        elif plan["stdout"] == "streamed":
            self._stdout = Streamed(self._logs, self._stream)
        else:
            self._stdout = Merged(self._logs)
        self._limits.clear()
        self._limits.update(
            {
                frames.HANDLER_FOUND: 0,
                frames.HEAD: frames.HEAD_BYTES,
                frames.DATA: frames.DATA_BYTES,
                frames.RESULT: limits["responseBytes"],
                frames.CALL: frames.CALL_BYTES,
                frames.END: WORKER_END_BYTES,
            }
        )
        self._plan = plan
        # Only now: before the plan nobody could say what printed bytes are.
        self._watch(self._log, True)
        self._watch(self._out, plan["stdout"] != "merged")
        if self._desk:
            self._watch(self._desk.descriptor, True)

    def _become_handler(self):
        """The code turned out to define a handler: what it printed while it loaded is log."""
        self._drain(self._out)
        self._stdout.finish(False)
        self._stdout = Merged(self._logs)
        self._plan["script"] = False

    # The end

    def _conclude(self):
        if self._plan is None:
            self._conclude_unread()
            return
        self._drain(self._log)
        self._drain(self._out)
        error = self._verdict()
        if error is None and self._plan["output"]:
            error = self._answer_with_file(self._plan["output"])
        is_response = error is None and not self._answered and not self._stream.begun
        if self._plan["stdout"] == "streamed" and self._stream.begun:
            is_response = True
        try:
            self._stdout.finish(is_response)
        except TooLarge:
            error = outcome.TOO_LARGE
        self._channel.queue(frames.END, outcome.encode(error, self._exit, self._logs.dropped_bytes))

    def _conclude_unread(self):
        """The call alone may be more than the memory; the engine would hear of that only later than of the end of the sandbox."""
        if processes.oom_kills() <= self._oom_kills:
            raise Violation("the worker could not read the call")
        error = outcome.died(self._exit, True, False, None)
        self._channel.queue(frames.END, outcome.encode(error, self._exit, 0))

    def _verdict(self):
        """What went wrong, or None."""
        if self._failure:
            return self._failure
        if self._decoder.pending:
            return outcome.invalid("the function wrote to the agent's pipe")
        if self._report is not None and self._report["status"] == "error":
            return self._report["error"]
        if self._report is not None:
            return None
        if self._plan["script"] and self._exit == {"code": 0, "signal": None}:
            return None
        # A shell tells of a killed child by its own status.
        killed = self._exit["signal"] == "SIGKILL" or self._exit["code"] == 128 + signal.SIGKILL
        oom = killed and processes.oom_kills() > self._oom_kills
        return outcome.died(self._exit, oom, self._plan["script"], self._logs.last_line)

    def _answer_with_file(self, path):
        """`cronium output` of Bash has left its value in a file."""
        from .bash_output import read_output

        try:
            value = read_output(path, self._limits[frames.RESULT])
        except TooLarge:
            return outcome.TOO_LARGE
        if value is not None:
            self._answered = True
            self._channel.queue(frames.RESULT, value)
        return None

    def _linger(self):
        """Sends what is queued, ends the function and waits for the gateway to close the channel."""
        waiting = select.poll()
        waiting.register(self._channel.reading, select.POLLIN)
        self._channel.flush()
        processes.kill_all(self._pid)
        while True:
            behind = self._channel.pending_bytes
            waiting.register(self._channel.writing, select.POLLOUT if behind else 0)
            events = waiting.poll()
            ready = [descriptor for descriptor, _ in events]
            if any(event & (select.POLLERR | select.POLLNVAL) for _, event in events):
                raise ChannelClosed
            if self._channel.reading in ready and not self._channel.read_some(READ_BYTES):
                raise ChannelClosed
            self._channel.flush()


def _parse(payload):
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Violation("a call that does not parse") from error
