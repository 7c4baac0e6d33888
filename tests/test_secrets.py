"""Passwords by reference: where they may be, and that no complaint about them shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bisectbot.effects.secrets import SystemSecrets
from bisectbot.errors import ConfigError
from bisectbot.lab import Secret
from bisectbot.reach import Secrets
from csrc import lacking

PASSWORD = "hunter2 häßlich"  # noqa: S105  nobody's
SECRETS: Secrets = SystemSecrets()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with a password that only its owner can read."""
    path = tmp_path / "bmc.password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return path


def refusal(secret: Secret) -> ConfigError:
    """Return what is said of a secret that can't be used."""
    with pytest.raises(ConfigError) as caught:
        SECRETS.reveal(secret)
    return caught.value


def test_a_variable_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept: the next value is the next answer."""
    secret = Secret(env="BMC_PASSWORD")
    for value in (PASSWORD, "another"):
        monkeypatch.setenv("BMC_PASSWORD", value)
        assert SECRETS.reveal(secret) == value


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("content", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\n", PASSWORD + "\nan old one\n"])
def test_a_file_gives_its_first_line(file: Path, content: str, mode: int) -> None:
    """Blanks within and at the ends belong to the password; the line's end doesn't."""
    file.write_bytes(content.encode())
    file.chmod(mode)
    assert SECRETS.reveal(Secret(file=file)) == PASSWORD


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is told which one to set."""
    monkeypatch.delenv("BMC_PASSWORD", raising=False)
    assert "BMC_PASSWORD isn't set" in refusal(Secret(env="BMC_PASSWORD")).message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The user is told which file, and why it can't be read."""
    path = tmp_path / "none"
    assert refusal(Secret(file=path)).message == f"the password file {path} can't be read: No such file or directory"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o601, 0o777])
def test_a_file_that_others_may_touch_is_refused(file: Path, mode: int) -> None:
    """Whoever can read or write it owns the machine; the hint is the command that closes it."""
    file.chmod(mode)
    error = refusal(Secret(file=file))
    assert f"open to others (mode {mode:04o})" in error.message
    assert error.hint == f"chmod 600 {file}"


def test_another_users_file_is_refused(file: Path) -> None:
    """Root could read it, and its owner could change it."""
    if os.geteuid() != 0:
        lacking("only root can give a file away")
    os.chown(file, 65534, 65534)
    assert "belongs to another user" in refusal(Secret(file=file)).message


def test_a_pipe_or_a_folder_is_no_password_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to doesn't hang the bot."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        assert refusal(Secret(file=path)).message == f"the password file {path} is no regular file"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n" + PASSWORD.encode(), "is empty"),
        (b"\r\n", "is empty"),
        (b"hunter2\xff\n", "isn't one line of printable text"),
        (b"hunter2\0\n", "isn't one line of printable text"),
        (b"hunter2\x1b[31m\n", "isn't one line of printable text"),
        (b"hunter2\ttab\n", "isn't one line of printable text"),
        ("hunter2\u202e\n".encode(), "isn't one line of printable text"),
        (b"hunter2" * 1000, "is longer than 4095 bytes"),
    ],
)
def test_what_is_no_password_is_refused_without_showing_it(file: Path, content: bytes, why: str) -> None:
    """The complaint names the file and the reason; what is in the file may still be a password."""
    file.write_bytes(content)
    error = refusal(Secret(file=file))
    assert why in error.message
    assert str(file) in error.message
    assert "hunter2" not in str(error)
    assert error.__context__ is None or "hunter2" not in str(error.__context__)


@pytest.mark.parametrize("value", ["", "hunter2\nhunter3", "hunter2\x07"])
def test_what_is_no_password_in_a_variable_is_refused_likewise(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An environment can hold anything but a NUL."""
    monkeypatch.setenv("BMC_PASSWORD", value)
    error = refusal(Secret(env="BMC_PASSWORD"))
    assert "BMC_PASSWORD" in error.message
    assert "hunter" not in str(error)


def test_a_reference_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed or logged of a host says where its password is."""
    monkeypatch.setenv("BMC_PASSWORD", PASSWORD)
    for text in (str(Secret(env="BMC_PASSWORD")), repr(Secret(env="BMC_PASSWORD")), repr(vars(SECRETS))):
        assert PASSWORD not in text
