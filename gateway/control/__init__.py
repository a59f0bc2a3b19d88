"""The control socket: how the command line asks the running gateway.

``gateway.control.client`` asks, ``gateway.control.server`` answers, ``messages`` is what is said.
"""

from gateway.control.client import AS_WHOM, QUESTION_TIMEOUT, ControlClient
from gateway.control.messages import MAX_ENTRIES, MAX_PAGE

__all__ = ["AS_WHOM", "MAX_ENTRIES", "MAX_PAGE", "QUESTION_TIMEOUT", "ControlClient"]
