"""Where python-ESL is imported from, or why it cannot be.

Where there is no compiler the tests skip, wherever they run. Where there is one and the build came
to nothing, they skip on a machine of somebody's and fail under ``CI=true``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.esl_oracle.oracle import Failed, Unavailable, set_up


@pytest.fixture(scope="session")
def site() -> Path:
    try:
        return set_up()
    except Unavailable as why:
        if isinstance(why, Failed) and os.environ.get("CI") == "true":
            pytest.fail(f"no python-ESL to test with: {why}")
        pytest.skip(f"no python-ESL to test with: {why}")
