"""The module `cronium` that functions import."""

import json
import types

from .response import body_bytes


class Helper:
    """Holds the event and what `output` was given."""

    def __init__(self, event):
        self._event = event
        self.has_output = False
        self.value = None

    def module(self):
        module = types.ModuleType("cronium", "The request and the response of this call.")
        module.input = self._input
        module.output = self._output
        module.event = lambda: self._event
        return module

    def _input(self):
        """The request body: parsed if it is JSON, else text, else bytes; None where there is none."""
        data = body_bytes(self._event)
        if data is None:
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return data
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    def _output(self, value=None):
        """Answers with `value` instead of what the script prints; the last call wins."""
        self.has_output = True
        self.value = value
