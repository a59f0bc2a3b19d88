"""Managed entries: what people block and allow by command, call or page, outside the YAML."""

from gateway.entries.model import Applied, Change, ManagedEntry, NewChange, Op, Status
from gateway.entries.store import EntryStore

__all__ = ["Applied", "Change", "EntryStore", "ManagedEntry", "NewChange", "Op", "Status"]
