"""Where an endpoint stands, and what can happen there: the state machine of a conversation's end.

A `Phase` says nothing about whose turn it is, or which messages wait: that follows from the counts of messages.
"""

from __future__ import annotations

from enum import Enum

from pychat_client.errors import MisuseError, ProtocolError


class Phase(Enum):
    """Where an endpoint stands: its connection, and whether its conversation has ended."""

    OFFLINE = "offline"
    """No connection: there was none yet, or it was lost. A conversation can wait here to be resumed."""

    CALLING = "calling"
    """Connected. This end has said hello, and the daemon has not answered yet."""

    WAITING = "waiting"
    """The daemon has answered, but not said yet which conversation goes on. A console can wait here for hours."""

    MET = "met"
    """Both ends know the conversation, so messages and acks can go."""

    REFUSED = "refused"
    """The daemon reads nothing more on this connection: what this user says now is for the next one."""

    OVER = "over"
    """The other side has ended the conversation, or confirmed that this user has ended it."""

    OVER_CUT = "over, cut"
    """As OVER, without a connection on which the daemon has answered and still reads."""

    LEFT = "left"
    """This user has ended the conversation, and the daemon has not confirmed that yet."""

    LEFT_CUT = "left, cut"
    """As LEFT, without a connection on which the daemon has answered and still reads."""

    @property
    def is_greeted(self) -> bool:
        """Whether there is a connection on which the daemon has answered and still reads."""
        return self in _CONNECTED

    @property
    def is_left(self) -> bool:
        """Whether this user has ended the conversation, and the daemon has not confirmed that yet."""
        return self in _LEFT

    @property
    def has_ended(self) -> bool:
        return self in _ENDED


_CONNECTED = (Phase.WAITING, Phase.MET, Phase.OVER, Phase.LEFT)
_LEFT = (Phase.LEFT, Phase.LEFT_CUT)
_ENDED = (*_LEFT, Phase.OVER, Phase.OVER_CUT)  # made once: each message asks, and a name of an Enum takes its time


class Trigger(Enum):
    """What moves an endpoint from one phase to another."""

    CALL = "call"
    """There is a new connection, and this end says hello."""

    ANSWER = "answer"
    """The daemon says hello."""

    MEET = "meet"
    """The daemon has said which conversation goes on: a peer learns it from the hello, a console from `\\peer`."""

    REFUSE = "refuse"
    """The daemon refuses this end, and reads nothing more on this connection."""

    QUIT = "quit"
    """This user ends the conversation."""

    OTHER_QUIT = "other quit"
    """The daemon says `\\quit`, or does not know the conversation any more."""

    LOSE = "lose"
    """The connection is lost."""


_P, _T = Phase, Trigger

TRANSITIONS: dict[Phase, dict[Trigger, Phase]] = {
    _P.OFFLINE: {_T.CALL: _P.CALLING, _T.QUIT: _P.LEFT_CUT, _T.LOSE: _P.OFFLINE},
    _P.CALLING: {
        _T.ANSWER: _P.WAITING,
        _T.MEET: _P.MET,
        _T.REFUSE: _P.REFUSED,
        _T.QUIT: _P.LEFT_CUT,
        _T.OTHER_QUIT: _P.OVER_CUT,
        _T.LOSE: _P.OFFLINE,
    },
    _P.WAITING: {
        _T.MEET: _P.MET,
        _T.REFUSE: _P.REFUSED,
        _T.QUIT: _P.LEFT,
        _T.OTHER_QUIT: _P.OVER,
        _T.LOSE: _P.OFFLINE,
    },
    _P.MET: {
        _T.MEET: _P.MET,  # the daemon tells a console of another conversation; in OVER and LEFT, too
        _T.REFUSE: _P.REFUSED,
        _T.QUIT: _P.LEFT,
        _T.OTHER_QUIT: _P.OVER,
        _T.LOSE: _P.OFFLINE,
    },
    _P.REFUSED: {
        _T.REFUSE: _P.REFUSED,
        _T.QUIT: _P.LEFT_CUT,
        _T.OTHER_QUIT: _P.OVER_CUT,
        _T.LOSE: _P.OFFLINE,
    },
    _P.OVER: {
        _T.MEET: _P.MET,
        _T.REFUSE: _P.OVER_CUT,
        _T.QUIT: _P.LEFT,
        _T.OTHER_QUIT: _P.OVER,
        _T.LOSE: _P.OVER_CUT,
    },
    _P.OVER_CUT: {
        _T.CALL: _P.OVER_CUT,
        _T.ANSWER: _P.OVER,
        _T.REFUSE: _P.OVER_CUT,
        _T.QUIT: _P.LEFT_CUT,
        _T.OTHER_QUIT: _P.OVER_CUT,
        _T.LOSE: _P.OVER_CUT,
    },
    _P.LEFT: {
        _T.MEET: _P.MET,
        _T.REFUSE: _P.LEFT_CUT,
        _T.QUIT: _P.LEFT,
        _T.OTHER_QUIT: _P.OVER,
        _T.LOSE: _P.LEFT_CUT,
    },
    _P.LEFT_CUT: {
        _T.CALL: _P.LEFT_CUT,
        _T.ANSWER: _P.LEFT,
        _T.REFUSE: _P.LEFT_CUT,
        _T.QUIT: _P.LEFT_CUT,
        _T.OTHER_QUIT: _P.OVER_CUT,
        _T.LOSE: _P.LEFT_CUT,
    },
}
"""The phase that follows. What is absent is illegal."""

_OTHERS_FAULT = {
    Trigger.ANSWER: "A hello cannot come now.",
    Trigger.MEET: "A conversation cannot begin now.",
}


def next_phase(phase: Phase, trigger: Trigger) -> Phase:
    """The phase that `trigger` leads to. Raises ProtocolError where the daemon must not do this, and MisuseError
    where this program must not."""
    if (following := TRANSITIONS[phase].get(trigger)) is not None:
        return following
    if trigger in _OTHERS_FAULT and phase is not Phase.OFFLINE:
        raise ProtocolError("hello", _OTHERS_FAULT[trigger])
    raise MisuseError(f"An endpoint that is {phase.value!r} cannot have {trigger.value!r}.")
