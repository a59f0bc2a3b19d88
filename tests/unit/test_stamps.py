"""What a policy is made of, and what counts as a change of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.policy.stamps import contents, directories, refreshed, stamp, stamps_of

POLICY = """\
lists:
  a: {files: [lists/a.txt, lists/b.txt]}
  files: {files: [lists/c.txt]}
campaigns:
  x: {contacts: contacts.csv, lists: {y: {files: lists/a.txt}}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.txt").write_text("one\n")
    return path


def names(policy: Path) -> set[str]:
    return {os.path.relpath(item.path, policy.parent) for item in stamps_of(policy)}


def test_every_file_that_is_named_is_stamped_once_even_if_it_is_missing(policy: Path) -> None:
    files = {"lists/a.txt", "lists/b.txt", "lists/c.txt", "contacts.csv"}
    assert names(policy) == {"policy.yaml", *files}
    assert len(stamps_of(policy)) == 5


@pytest.mark.parametrize("text", ["lists: [", "3", "", "\x00", "lists: {a: {files: {b: c}}}"])
def test_a_policy_that_cannot_be_read_is_stamped_alone(policy: Path, text: str) -> None:
    policy.write_text(text)
    assert names(policy) == {"policy.yaml"}


def test_touching_a_file_is_no_change_of_content(policy: Path) -> None:
    before = stamps_of(policy)
    os.utime(policy, (1, 1))
    after = refreshed(before)
    assert contents(after) == contents(before)
    assert after != before


def test_new_content_of_the_same_size_and_time_is_a_change(policy: Path) -> None:
    listed = policy.parent / "lists" / "a.txt"
    times = (listed.stat().st_atime_ns, listed.stat().st_mtime_ns)
    before = stamps_of(policy)
    listed.write_text("two\n")
    os.utime(listed, ns=times)
    assert contents(refreshed(before)) != contents(before)


@pytest.mark.parametrize("name", ["a.txt", "b.txt"])
def test_a_file_that_comes_or_goes_is_a_change(policy: Path, name: str) -> None:
    before = stamps_of(policy)
    path = policy.parent / "lists" / name
    path.unlink() if path.exists() else path.write_text("")
    assert contents(refreshed(before)) != contents(before)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stamp(tmp_path / "pipe").sha256 == ""
    assert stamp("with\0nul").sha256 == ""


def test_folders_are_watched_where_names_lie_and_where_links_lead(policy: Path) -> None:
    far = policy.parent / "far"
    far.mkdir()
    (far / "b.txt").write_text("")
    (policy.parent / "lists" / "b.txt").symlink_to(far / "b.txt")
    root = policy.parent
    assert directories(stamps_of(policy)) == {str(root), str(root / "lists"), str(far)}
