"""The policy behind the table, loaded once."""

from __future__ import annotations

import pytest

from gateway.policy.loader import load
from gateway.policy.model import Policy
from tests.support.verdicts import POLICY


@pytest.fixture(scope="session")
def policy() -> Policy:
    return load(POLICY).policy
