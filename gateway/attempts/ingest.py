"""The ingester."""

from gateway.attempts.move import ingest_once, rebuild

__all__ = ["ingest_once", "rebuild"]
