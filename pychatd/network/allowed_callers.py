"""Who may call: the allowlist of the administrators, and the callers who have come with an invitation.

A caller with an invitation names its certificate in the hello. The daemon then has TLS ask for it on the same
connection (RFC 8446, 4.6.2), so that the caller proves the key; only then the certificate is kept under its name.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from pychat_client.errors import NotAllowedError, PermissionDeniedError, ProtocolError, PychatError, UsageError
from pychat_client.protocol import wire
from pychat_client.text import printable
from pychat_client.trust.fingerprint import fingerprint
from pychat_client.trust.invitation import SECRET_BYTES, Invitation
from pychat_client.trust.public_key import key_id
from pychatd.caller_events import host_of, network_of
from pychatd.conversation.model import hash_certificate
from pychatd.network import authorized
from pychatd.network.guesses import Guesses
from pychatd.network.identity import Identity
from pychatd.network.invitations import Invitations, Record, State, UnknownError
from pychatd.settings import Settings

SHOWN_MAX = 8
"""Certificates that may be shown with one invitation: TLS keeps each until the next reload, and while connections
from before it are open."""

CODE = "invitation"
"""The code of the error for an invitation that lets nobody in."""


class AllowedCallers:
    """All who may call, by their certificates."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        """Raises PychatError if the invitations cannot be read."""
        self._invitations = Invitations(settings.invitations)
        self._guesses = Guesses()
        self._removed: set[bytes] = set()  # the hashes of certificates that let nobody in any more
        self.apply(settings, identity)

    def apply(self, settings: Settings, identity: Identity) -> None:
        """Uses new settings, and the lists as they were read with them."""
        self._settings = settings
        self.identity = identity
        self._directory = settings.state / "authorized"
        self._invited = identity.invited
        self._shown: Counter[str] = Counter()
        self._prepare_tls()

    def _prepare_tls(self) -> None:
        """Lets callers come as far as the hello without a certificate, unless only `authorized` counts."""
        context = self.identity.context
        if self.identity.names is None or self._invitations.ever_made or self._invited:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted
            context.verify_mode = ssl.CERT_REQUIRED
            context.post_handshake_auth = True  # asks only when `is_awaited` wants it to

    @property
    def needs_certificate(self) -> bool:
        """Whether nobody may call without a certificate."""
        return self.identity.names is not None or self._settings.invited_only

    # -------------------------------------------------------------- callers

    def name_of(self, certificate: bytes | None) -> str | None:
        """The name of the owner of a certificate (DER); None for a stranger where everybody may call.

        Raises PermissionDeniedError for a certificate that does not let in.
        """
        if certificate is not None and certificate in self._invited:
            return self._invited[certificate]
        if self.identity.names is None and self._settings.invited_only:
            raise PermissionDeniedError("This service takes only invited callers. Ask its operator to invite you.")
        return self.identity.name_of(certificate)

    def check_stays(self, certificate: bytes | None) -> None:
        """Raises PermissionDeniedError if the owner of a certificate (DER) may not call any more."""
        name = self.name_of(certificate)
        if name is None and certificate is not None and hash_certificate(certificate) in self._removed:
            raise PermissionDeniedError("The operator has removed your certificate.")

    def may_go_on(self, certificate_hash: bytes | None) -> bool:
        """The same for the peer of a conversation, of whose certificate only the hash is stored."""
        if any(hash_certificate(one) == certificate_hash for one in self.names):
            return True
        if certificate_hash in self._removed:
            return False
        # Who is not on a list that cannot be read may still be allowed.
        return bool(self.identity.complaints) or not self.needs_certificate

    def is_invited(self, certificate: bytes | None) -> bool:
        return certificate in self._invited

    def is_awaited(self, hello: wire.Hello, address: str, accept: Callable[[bytes], None]) -> bool:
        """Whether the caller has to prove the certificate that its hello names. accept: makes TLS accept that one
        (DER) on the caller's connection, which may be older than the last reload. Raises ProtocolError for an
        invitation that lets nobody in."""
        listed = next((known for known in self.names if fingerprint(known) == hello.proof), None)
        if listed is not None:
            accept(listed)
            return True
        if hello.invite is None:
            return False
        secret, _ = self._check(hello.invite, address)
        certificate = _certificate_in(hello)
        invitation = secret.hex()
        if self._shown[invitation] >= SHOWN_MAX:
            raise ProtocolError(CODE, "This invitation has been tried too often. Ask for a new one.")
        try:
            accept(certificate)
        except (ssl.SSLError, ValueError):  # ValueError: it is empty
            raise ProtocolError(CODE, "Your certificate cannot be read.") from None
        self._shown[invitation] += 1
        return True

    def enrol(self, hello: wire.Hello, certificate: bytes | None, address: str) -> None:
        """Keeps the certificate of a caller with an invitation. Nothing changes for one who may call already.

        Raises ProtocolError for an invitation that lets nobody in.
        """
        if hello.invite is None or certificate in self.names:
            return
        secret, name = self._check(hello.invite, address)
        if certificate is None or fingerprint(certificate) != hello.proof:
            raise ProtocolError(CODE, "An invitation needs a certificate that is proved on the same connection.")
        try:
            self._invitations.use(secret)  # first: whatever happens then, nobody else comes with it
            authorized.add(self._directory, name, certificate)
        except PychatError:
            raise ProtocolError(
                CODE,
                "The other host cannot store your certificate now (is its disk full?). Ask for a new invitation.",
            ) from None
        self._invited = {**self._invited, certificate: name}

    @property
    def names(self) -> dict[bytes, str]:
        """The certificates (DER) of all who may call with one, and the names of their owners."""
        return {**(self.identity.names or {}), **self._invited}

    def _check(self, word: str, address: str) -> tuple[bytes, str]:
        """The secret in a hello, and who comes with it."""
        network = network_of(host_of(address))
        if self._guesses.are_too_many(network, time.monotonic()):
            raise ProtocolError(CODE, "Too many wrong invitations have come. Try again in an hour.")
        try:
            secret = _secret_in(word)
            return secret, self._invitations.name_for(secret)
        except UnknownError as error:
            self._guesses.count(network)
            raise ProtocolError(CODE, str(error)) from None
        except NotAllowedError as error:
            raise ProtocolError(CODE, str(error)) from None

    # -------------------------------------------------------------- operators

    def invite(self, name: str | None, valid: timedelta) -> tuple[Invitation, Record]:
        """Makes an invitation; without a name, for the next guest. Raises PychatError."""
        taken = {*self.names.values(), *self._invitations.open_names()}
        if name is None:
            name = next(guest for number in range(1, len(taken) + 2) if (guest := f"guest{number}") not in taken)
        if authorized.check_name(name) in taken:
            raise UsageError(f"'{name}' is invited already, or may call already: use another name.")
        secret, record = self._invitations.make(name, valid)
        self._prepare_tls()
        return Invitation(key_id(self.identity.certificate), secret), record

    def invitations(self) -> list[tuple[Record, State]]:
        return self._invitations.listed()

    def revoke(self, name: str) -> None:
        """Raises PychatError."""
        self._invitations.revoke(name)

    def revoke_made(self) -> None:
        """Closes the open invitations that this process has made. Raises PychatError."""
        self._invitations.revoke_made()

    def listed(self) -> list[tuple[str, bytes, bool]]:
        """Name and certificate of all who may call with one, and whether they were invited."""
        names = sorted((name, certificate) for certificate, name in self.names.items())
        return [(name, certificate, certificate in self._invited) for name, certificate in names]

    def rename(self, old: str, new: str) -> None:
        """Raises PychatError."""
        certificate = self._invited_as(old)
        if authorized.check_name(new) in self.names.values() or new in self._invitations.open_names():
            raise UsageError(f"'{new}' is invited already, or may call already: use another name.")
        authorized.add(self._directory, new, certificate)
        authorized.remove(self._directory, old)
        self._invited = {**self._invited, certificate: new}

    def remove(self, name: str) -> bytes:
        """Returns the certificate that lets nobody in any more. Raises PychatError."""
        certificate = self._invited_as(name)
        authorized.remove(self._directory, name)
        self._removed.add(hash_certificate(certificate))
        self._invited = {one: whose for one, whose in self._invited.items() if one != certificate}
        return certificate

    def _invited_as(self, name: str) -> bytes:
        for certificate, whose in self._invited.items():
            if whose == name:
                return certificate
        listed = name in self.names.values()
        where = f" An administrator put it into {self._settings.authorized}." if listed else ""
        raise UsageError(f"No invited caller is called '{printable(name)}'.{where}")


def _secret_in(word: str) -> bytes:
    """Raises UnknownError."""
    try:
        secret = bytes.fromhex(word)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise UnknownError("The invitation cannot be read. Copy it again, or ask for a new one.")
    return secret


def _certificate_in(hello: wire.Hello) -> bytes:
    """The certificate of a caller with an invitation. Raises ProtocolError."""
    try:
        certificate = base64.b64decode(hello.certificate or "", validate=True)
    except ValueError:
        certificate = b""
    if fingerprint(certificate) != hello.proof:
        raise ProtocolError(CODE, "The certificate does not have the fingerprint that the hello names.")
    return certificate
