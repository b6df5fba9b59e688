"""Callers whose handle poses as the operator, as the user or as a mark of the screen: none gets the seat."""

from __future__ import annotations

from tests.support.service import Service

AS_OPERATOR = [
    *("server", "SERVER", "\uff33erver", "\U0001d412erver", "\u24c8erver", "Ser\u0335ver", "S\u00e9rver"),
    *("S\u0435rver", "\u0405erver", "Ser\u0475er", "\u13daerver", "\u13da\u13ac\u13d2\u13d9\u13ac\u13d2"),
    *("\ua4e2\ua4f0\ua4e3\ua4e6\ua4f0\ua4e3", "\u054ferver", "\U00016f3aerver", "S\u0258rver", "Serve\u027e"),
    *("S\u212erver", "\ua731erver", "5erver", "Server.", ":Server", "Ser-ver", "Server\u0307"),
]
AS_USER = [
    "you",
    "YOU",
    "\u03a5ou",
    "\uff39ou",
    "Y0u",
    "\u028fou",
    "Y\u1d0f\u1d1c",
    "You.",
    "Y\u00f6u",
    "\u13a9ou",
]
AS_A_MARK = ["--", "\u2014", "\u2212\u2212", "-", "*", ".", "\u02cb", "\u2800", "\u3164", "\u00a0", "\u034f"]


def test_nobody_poses_as_somebody_else(service: Service) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    for handle in [*AS_OPERATOR, *AS_USER, *AS_A_MARK]:
        caller = service.connect()
        caller.send(f"\\hello 1 {handle}")
        assert caller.line().startswith("\\error "), ascii(handle)
        caller.close()
    service.greeted("Serverin").send("Serverin> hello")
    console.says("Serverin> hello")
