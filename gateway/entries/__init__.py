"""Managed entries: what people block and allow by command, call or page, outside the YAML."""

from gateway.entries.export import export_yaml
from gateway.entries.model import Applied, Change, ManagedEntry, NewChange, Op, Status
from gateway.entries.reading import Asked, Understood, told, understand
from gateway.entries.store import EntryStore

__all__ = [
    "Applied",
    "Asked",
    "Change",
    "EntryStore",
    "ManagedEntry",
    "NewChange",
    "Op",
    "Status",
    "Understood",
    "export_yaml",
    "told",
    "understand",
]
