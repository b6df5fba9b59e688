"""Copies the parts of small worlds, for the search, so that parts that are alike are the same bytes.

Values that never change are numbers in a copy, and an object is its class and the values of its attributes. It
knows no rule of a conversation, only which classes a part is made of.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from datetime import datetime
from inspect import signature
from io import BytesIO
from operator import attrgetter
from typing import Any, get_args

from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Credentials, Endpoint
from pychat_client.protocol.outbox import Outbox
from pychat_client.protocol.phase import Phase
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.transport.connection import TransportState
from pychatd.conversation.console_session import ConsoleState
from pychatd.conversation.cursor import Cursor
from pychatd.conversation.model import Conversation, Entry
from pychatd.conversation.peer_session import PeerState
from pychatd.conversation.silent_callers import SilentCallers
from pychatd.settings import Settings
from tests.simulation.list_journal import ListJournal
from tests.simulation.small_daemon import (
    FakeConnection,
    SmallConsoleSession,
    SmallDaemon,
    SmallPeerSession,
    SmallSwitchboard,
)
from tests.simulation.small_user import SmallUser

_VALUES: list[Any] = []
_NUMBERS: dict[Any, int] = {}

Copy = bytes
"""For `restored`. Two parts are one if their copies are the same."""


def copied(part: SmallDaemon | SmallUser) -> Copy:
    copy = BytesIO()
    _Pickler(copy, pickle.HIGHEST_PROTOCOL).dump(part)
    return copy.getvalue()


def restored(copy: Copy) -> Any:
    return _Unpickler(BytesIO(copy)).load()


def number_of(value: Any) -> int:
    number = _NUMBERS.setdefault(value, len(_VALUES))
    if number == len(_VALUES):
        _VALUES.append(value)
    return number


def value_of(number: int) -> Any:
    return _VALUES[number]


def _by_fields(type_: Any) -> Callable[[Any], tuple[Any, Any]]:
    """How an object is copied that is made from its fields: its own way is slow."""
    values = attrgetter(*signature(type_).parameters)
    return lambda one: (type_, values(one))


def _by_attributes(one: Any) -> tuple[Any, ...]:
    """How any other object is copied. It may be part of a circle, so it is filled later."""
    attributes = vars(one)
    state = (number_of(tuple(attributes)), *attributes.values())
    return _blank, (number_of(type(one)),), state, None, None, _fill


def _blank(number: int) -> Any:
    type_ = _VALUES[number]
    return type_.__new__(type_)


def _fill(one: Any, state: tuple[Any, ...]) -> None:
    vars(one).update(zip(_VALUES[state[0]], state[1:], strict=True))


_ENUMS = (Role, Turns, Phase, TransportState, PeerState, ConsoleState)
_CONSTANT = frozenset((*get_args(wire.Frame), *_ENUMS, str, bytes, datetime, Settings, Credentials, Entry))
_DATA = (Conversation, Cursor, TurnState)
_OBJECTS = (
    *(SmallDaemon, SmallUser, FakeConnection, ListJournal, Endpoint, ConsoleEndpoint, Outbox),
    *(SmallSwitchboard, SmallPeerSession, SmallConsoleSession, SilentCallers),
)


class _Pickler(pickle.Pickler):
    dispatch_table = {  # noqa: RUF012 -- pickle's own name for it
        **copyreg.dispatch_table,
        **{type_: _by_fields(type_) for type_ in _DATA},
        **dict.fromkeys(_OBJECTS, _by_attributes),
    }

    def persistent_id(self, one: Any) -> int | None:
        """Values that are equal are one, whether they are the same object or not."""
        return number_of(one) if type(one) in _CONSTANT else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, number: int) -> Any:
        return _VALUES[number]
