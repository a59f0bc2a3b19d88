"""The policy that runs: loaded, kept, replaced and changed without a call waiting for it."""

from gateway.reload.generations import Generations
from gateway.reload.store import PolicyStore, ReloadResult

__all__ = ["Generations", "PolicyStore", "ReloadResult"]
