"""A campaign's contacts: the policy's file or an uploaded one, paged, with labels."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.errors import EntryError
from gateway.files import Unreadable
from gateway.policy.model import Campaign, Policy
from gateway.review.contacts import Upload, contacts_file, forget, read_page, tally, uploaded
from gateway.review.labels import Label, Labels
from gateway.review.rows import BadRows
from tests.support.policies import NOON, make_list, make_policy, prefix

SPRING = Campaign("spring", ("33140000000",))


@pytest.fixture
def labels() -> Labels:
    return Labels(a_policy(), "spring", NOON)


def a_policy() -> Policy:
    lists = [make_list("nuisance")]
    return make_policy(lists, [prefix("nuisance", "33162")], campaigns={"spring": SPRING})


@pytest.fixture
def leads(tmp_path: Path) -> Path:
    """A hundred contacts; every tenth is listed."""
    path = tmp_path / "leads.csv"
    rows = [f"{row},+33{162 if row % 10 == 0 else 145}{row:06}\n" for row in range(100)]
    path.write_text("name,phone\n\n" + "".join(rows))
    return path


def test_a_page_has_the_names_cells_and_labels_of_its_rows(leads: Path, labels: Labels) -> None:
    page = read_page(leads, labels, limit=2)
    assert (page.column.names, page.column.name) == (("name", "phone"), "phone")
    assert [contact.row for contact in page.contacts] == [0, 1]
    assert page.contacts[1].cells == ("1", "+33145000001")
    first = page.contacts[0].labelled
    assert (first.label, first.list, first.entry) == (Label.BLACKLISTED, "nuisance", "+33162")
    assert first.inbound is not None
    assert first.inbound.label is Label.BLACKLISTED


def test_pages_follow_each_other_to_the_end(leads: Path, labels: Labels) -> None:
    seen: list[int] = []
    place: int | None = 0
    while place is not None:
        page = read_page(leads, labels, offset=place, limit=30)
        seen += [contact.row for contact in page.contacts]
        place = page.next
    assert seen == list(range(100))


def test_a_page_that_ends_with_the_file_has_no_next(leads: Path, labels: Labels) -> None:
    assert read_page(leads, labels, limit=100).next is None
    assert read_page(leads, labels, offset=99, limit=1).next is None
    past = read_page(leads, labels, offset=1000)
    assert (past.contacts, past.next) == ((), None)


def test_only_the_asked_labels_come_and_the_budget_ends_a_page(leads: Path, labels: Labels) -> None:
    page = read_page(leads, labels, only=["blacklisted"], limit=3)
    assert [contact.row for contact in page.contacts] == [0, 10, 20]
    assert page.next == 21
    page = read_page(leads, labels, offset=21, only=["blacklisted"], limit=3, budget=12)
    assert ([contact.row for contact in page.contacts], page.next) == ([30], 33)
    assert read_page(leads, labels, only=["invalid"]).contacts == ()


def test_rows_that_cannot_be_read_are_invalid_and_say_why(tmp_path: Path, labels: Labels) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b'name,phone\n"open,+33145000000\nZo\xe9\nx,+33145000001\n')
    page = read_page(path, labels)
    assert [contact.labelled.label for contact in page.contacts] == ["Invalid", "Invalid", "Clear"]
    faults = [contact.fault for contact in page.contacts]
    assert faults == ["quotes are not balanced", "too few columns", ""]
    assert [contact.cells[0] for contact in page.contacts] == ['"open,+33145000000', "Zoé", "x"]


def test_another_column_can_be_chosen(tmp_path: Path, labels: Labels) -> None:
    path = tmp_path / "two.csv"
    path.write_text("phone,other\n+33145000000,+33162000000\n")
    page = read_page(path, labels, column="other")
    assert page.contacts[0].labelled.label is Label.BLACKLISTED
    with pytest.raises(BadRows):
        read_page(path, labels, column="third")


def test_all_labels_are_counted(leads: Path, labels: Labels) -> None:
    assert tally(leads, labels).kinds == {"blacklisted": 10, "clear": 90}


def test_the_file_of_the_policy_comes_before_an_uploaded_one(tmp_path: Path) -> None:
    policy_path, state = tmp_path / "config/policy.yaml", tmp_path / "state"
    named = Campaign("spring", contacts="contacts/a.csv")
    assert contacts_file(named, policy_path, state) == tmp_path / "config/contacts/a.csv"
    assert contacts_file(SPRING, policy_path, state) is None
    uploaded("spring", state).parent.mkdir(parents=True)
    uploaded("spring", state).write_text("1")
    assert contacts_file(SPRING, policy_path, state) == uploaded("spring", state)
    assert contacts_file(named, policy_path, state) == tmp_path / "config/contacts/a.csv"


def test_a_file_that_is_gone_or_a_device_is_unreadable(tmp_path: Path, labels: Labels) -> None:
    for path in (tmp_path / "absent.csv", Path("/dev/zero")):
        with pytest.raises(Unreadable):
            read_page(path, labels)


def test_an_upload_is_private_and_takes_the_place_of_the_former(
    tmp_path: Path, labels: Labels
) -> None:
    for text in ("phone\n+33145000000\n", "tel;name\n+33162000000;x\n"):
        with Upload(SPRING, tmp_path) as upload:
            for sign in text.encode():
                upload.write(bytes([sign]))
            column = upload.keep(labels)
        assert uploaded("spring", tmp_path).read_text() == text
    assert column.names == ("tel", "name")
    found = uploaded("spring", tmp_path).stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert os.listdir(tmp_path / "contacts") == ["spring.csv"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\nc,d\n", b"\0\0", b"x" * 2_000_000])
def test_an_upload_without_numbers_leaves_the_former(
    data: bytes, tmp_path: Path, labels: Labels
) -> None:
    with Upload(SPRING, tmp_path) as upload:
        upload.write(b"phone\n+33145000000\n")
        upload.keep(labels)
    with Upload(SPRING, tmp_path) as upload:
        upload.write(data)
        with pytest.raises(BadRows):
            upload.keep(labels)
    assert uploaded("spring", tmp_path).read_bytes() == b"phone\n+33145000000\n"
    assert os.listdir(tmp_path / "contacts") == ["spring.csv"]


def test_an_upload_has_a_bound(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="at most 10 bytes"), Upload(SPRING, tmp_path, 10) as one:
        one.write(b"12345678901")
    assert os.listdir(tmp_path / "contacts") == []


def test_an_upload_beside_a_file_of_the_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="the policy names the contacts of 'spring'"):
        Upload(Campaign("spring", contacts="a.csv"), tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_upload_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "contacts"
    folder.mkdir()
    for name in (".spring-old", ".spring-new"):
        (folder / name).write_text("half")
    os.utime(folder / ".spring-old", (0, 0))
    Upload(SPRING, tmp_path).discard()
    assert os.listdir(folder) == [".spring-new"]


def test_an_uploaded_file_can_be_removed(tmp_path: Path, labels: Labels) -> None:
    with Upload(SPRING, tmp_path) as upload:
        upload.write(b"phone\n+33145000000\n")
        upload.keep(labels)
    assert forget(SPRING, tmp_path)
    assert not forget(SPRING, tmp_path)
    assert contacts_file(SPRING, tmp_path / "policy.yaml", tmp_path) is None
