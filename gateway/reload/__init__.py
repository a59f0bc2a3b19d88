"""The policy that runs: loaded, kept, replaced and changed without a call waiting for it."""

from gateway.reload.generations import Generations
from gateway.reload.result import ReloadResult
from gateway.reload.store import PolicyStore

__all__ = ["Generations", "PolicyStore", "ReloadResult"]
