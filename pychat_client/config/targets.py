"""Finds the service that a command line means: a host and a port, or a contact of the user's configuration."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping, Sequence

from pychat_client.config.paths import known_hosts_file
from pychat_client.config.preferences import Contact, Preferences
from pychat_client.errors import HandleError, UsageError
from pychat_client.text import HANDLE_MAX, check_handle, is_port, parse_port, printable


def find(words: Sequence[str], contacts: Mapping[str, Contact], command: str = "pychat") -> Contact:
    """The target of `pychat CONTACT`, `pychat HOST PORT` or `pychat HOST:PORT`. Raises UsageError, with the right
    use of `command`."""
    if not words:
        raise UsageError(f"Missing host and port: {command} HOST PORT")
    if len(words) > 1:
        return Contact(_host(words), parse_port(words[1]))
    if (contact := contacts.get(words[0]) or _with_port(words[0])) is not None:
        return contact
    name = printable(words[0])
    saved = f" Your contacts: {', '.join(contacts)}." if contacts else ""
    raise UsageError(f"'{name}' is not a contact.{saved} If it is a host, add its port: {command} {name} PORT")


def find_before_text(words: Sequence[str], contacts: Mapping[str, Contact]) -> tuple[Contact, list[str]]:
    """The target that `words` begin with, and the words after it. Raises UsageError."""
    if not words or (words[0] not in contacts and _with_port(words[0]) is None):
        return find(words[:2], contacts, "pychat send"), list(words[2:])
    name, *text = words
    if text and is_port(text[0]):  # a message to the wrong person is worse than none
        who = f"your contact '{printable(name)}'" if name in contacts else printable(name)
        raise UsageError(
            f"Not sent: {text[0]} could be a port, or the text for {who}. "
            f"If it is the text, write it to stdin: echo 'TEXT' | pychat send {printable(name)}"
        )
    return find([name], contacts), text


_WITH_PORT = re.compile(r"(?:\[([0-9a-f:.]+(?:%[^\[\]/]+)?)\]|([^][:/@]+)):([0-9]+)(?:/(.+))?", re.IGNORECASE)
_SCHEME = re.compile("pychat://", re.IGNORECASE)
_OTHER_SCHEME = re.compile("[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def _with_port(word: str) -> Contact | None:
    """What `host:port`, `[::1]:port` or `pychat://host:port/INVITATION` means; None for other words. Raises
    UsageError."""
    found = _WITH_PORT.fullmatch(_bare(word))
    if found is None or (found[4] is not None and not _SCHEME.match(word)):
        return None
    return Contact(found[1] or found[2], parse_port(found[3]), invitation=found[4])


def _host(words: Sequence[str]) -> str:
    """The host in front of a port: `[::1]` and `pychat://host` as well. Raises UsageError."""
    word = _bare(words[0])
    if _with_port(word) is not None:
        raise UsageError(f"'{printable(words[0])}' has a port already: leave out {printable(words[1])}.")
    return word[1:-1] if word.startswith("[") and word.endswith("]") else word


def _bare(word: str) -> str:
    """A word without the form of an address of the web around it. Raises UsageError for one of other programs."""
    if _SCHEME.match(word):
        word = word[len("pychat://") :]
    elif (other := _OTHER_SCHEME.match(word)) is not None:
        raise UsageError(f"'{printable(word)}' is an address for other programs: leave out '{other[0]}'.")
    return word.removesuffix("/")


def login_handle() -> str | None:
    """The login name of this user as a handle; None if it is not a valid one."""
    try:
        return check_handle(getpass.getuser()[:HANDLE_MAX])
    except (HandleError, OSError, KeyError):
        return None


def listed(preferences: Preferences) -> list[str]:
    """What can follow `pychat`, for the completion of a shell: contacts, and `HOST PORT` of known hosts."""
    from pychat_client.trust.known_hosts import KnownHosts  # loads tempfile, which the console does not need

    known = KnownHosts(known_hosts_file()).names()
    return [printable(words) for words in (*preferences.contacts, *(f"{host} {port}" for host, port in known))]
