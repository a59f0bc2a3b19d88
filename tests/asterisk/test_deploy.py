"""The files that docker-compose.yml gives to Asterisk mean to a real one what they should."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk.pbx import DIALPLAN, Pbx, Programs

DEPLOY = Path(__file__).parents[2] / "deploy/asterisk"


@pytest.fixture(scope="module")
def deployed(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    """An Asterisk with the phones and the dialplan of the compose file."""
    folder = tmp_path_factory.mktemp("deploy")
    pbx = Pbx(programs, folder, callee_port=9)
    pbx.start()
    try:
        shutil.copytree(DIALPLAN, folder / "callgate")
        shutil.copy(DEPLOY / "extensions.conf", folder)
        phones = (DEPLOY / "pjsip.conf").read_text().replace("5060", str(pbx.port))
        (folder / "pjsip.conf").write_text(phones)
        pbx.command("dialplan reload")
        pbx.command("module reload res_pjsip.so")
        yield pbx
    finally:
        pbx.stop()


@pytest.mark.parametrize("phone", ["1001", "1002"])
def test_each_phone_is_an_endpoint_with_a_password_of_its_own(deployed: Pbx, phone: str) -> None:
    shown = deployed.command(f"pjsip show endpoint {phone}")
    assert f"InAuth:  {phone}/{phone}" in shown
    assert "from-phones" in shown
    assert f"try-callgate-{phone}" in deployed.command(f"pjsip show auth {phone}")


@pytest.mark.parametrize(
    ("dialled", "application"),
    [
        ("1002", "Dial(PJSIP/${EXTEN},30)"),
        ("*033162000000", "Gosub(callgate-inbound,s,1(carrier,,,+33199000000))"),
        ("+33162000000", "Gosub(callgate-outbound,s,1(carrier,,${CALLERID(num)}))"),
        ("15", "Gosub(callgate-outbound,s,1(carrier,,${CALLERID(num)}))"),
    ],
)
def test_what_is_dialled_goes_where_the_documentation_says(
    deployed: Pbx, dialled: str, application: str
) -> None:
    assert application in deployed.command(f"dialplan show {dialled}@from-phones")


def test_the_shipped_dialplan_is_included(deployed: Pbx) -> None:
    for context in ("callgate-inbound", "callgate-outbound", "callgate-emergency"):
        assert f"Context '{context}' created" in deployed.command(f"dialplan show {context}")
    assert "CALLGATE_ADDRESS=127.0.0.1:4573" in deployed.command("dialplan show globals")
