"""Managed entries: what people block and allow by command, call or page, outside the YAML."""

from gateway.entries.export import export_yaml
from gateway.entries.guard import Covered, NeedsConfirmation
from gateway.entries.model import Applied, Change, ManagedEntry, NewChange, Op, Status
from gateway.entries.reading import Asked, Understood, told, understand, understand_all
from gateway.entries.search import ChangeFilter, EntryFilter, Page
from gateway.entries.store import EntryStore

__all__ = [
    "Applied",
    "Asked",
    "Change",
    "ChangeFilter",
    "Covered",
    "EntryFilter",
    "EntryStore",
    "ManagedEntry",
    "NeedsConfirmation",
    "NewChange",
    "Op",
    "Page",
    "Status",
    "Understood",
    "export_yaml",
    "told",
    "understand",
    "understand_all",
]
