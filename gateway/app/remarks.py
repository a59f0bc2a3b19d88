"""What a person who runs the gateway should know of its settings and may not have noticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from gateway.errors import ConfigError
from gateway.networks import guards
from gateway.settings import Address, Settings


def exposed(key: str, address: Address, secret: str, allow: Sequence[str] = ()) -> str:
    """A listener that other machines reach and that neither secret nor list of networks guards.

    Empty when all is well.
    """
    if secret or guards(allow) or _is_loopback(address.host):
        return ""
    return (
        f"{key}.listen is {address}, which other machines may reach, and {key}.secret is not set: "
        f"set it, name the PBX in {key}.allow, or listen on 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unapplied(running: Settings) -> tuple[str, ...]:
    """What the settings file says by now and only a restart would apply."""
    if running.file is None:
        return ()
    name = running.file.name
    try:
        written = Settings.load(running.file)
    except ConfigError as error:
        return tuple(f"{fault}; the gateway goes on with its settings" for fault in error.faults)
    keys = ", ".join(_differences(running.model_dump(), written.model_dump()))
    return (f"{name} has changed ({keys}): restart the gateway to apply it",) if keys else ()


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in one.items():
        if isinstance(value, dict):
            yield from _differences(value, other[key], f"{prefix}{key}.")
        elif value != other[key]:
            yield f"{prefix}{key}"
