"""What a service is doing, for people and for programs: `systemctl status` and `pychatd status`."""

from __future__ import annotations

from pychat_client.text import printable
from pychatd.caller_words import silent_words, unread_words
from pychatd.conversation.model import JournalDamagedError, JournalError
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.unread import Unread


def state_sentence(switchboard: Switchboard) -> str:
    """What the service does now, and what waits, in a sentence or two."""
    return f"{_state(switchboard)} {_unread_sentence(switchboard)}".rstrip()


def idle_sentence(switchboard: Switchboard) -> str:
    """What systemd shows of a daemon that has ended because nobody was connected."""
    return f"The next call or console starts the daemon again. {_unread_sentence(switchboard)}".rstrip()


def _unread_sentence(switchboard: Switchboard) -> str:
    waiting = _unread(switchboard)
    return "The journal cannot be read." if waiting is None else unread_words(waiting.count, waiting.handles)


def _state(switchboard: Switchboard) -> str:
    conversation, calling = switchboard.conversation, switchboard.calling
    if calling is not None and calling.silent:
        return silent_words(calling.address)
    if calling is not None:
        return f"{printable(calling.handle)} from {calling.address} is calling."
    if conversation is None:
        return "Waiting for a caller."
    name = printable(conversation.handle)
    if switchboard.peer is None:
        return f"Waiting for {name} to come back."
    return f"Talking with {name} from {switchboard.peer.address}."


def _unread(switchboard: Switchboard) -> Unread | None:
    """What waits for the operator; None if the journal cannot be read."""
    try:
        return switchboard.unread()
    except JournalDamagedError as damage:  # its file is set aside now: all have to know
        switchboard.journal_failed(damage)
    except JournalError:
        pass
    return None


def status_json(switchboard: Switchboard) -> str:
    """The state as one JSON object in ASCII: what `pychatd status --json` prints."""
    from pychatd.conversation.service_report import report_of

    return report_of(switchboard, _unread(switchboard)).json()
