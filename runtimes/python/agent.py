"""Starts the agent: `python3 -I -B -S agent.py --runtime python|bash`.

Python keeps no compiled form of the file that it is told to run, so there is nothing here but the way to the package.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cronium_agent.main import main  # noqa: E402

sys.path.pop(0)
main(sys.argv[1:])
