"""This user's own key and certificate: makes them once, and says what a call tells of them."""

from __future__ import annotations

import base64
from contextlib import suppress

from pychat_client import files
from pychat_client.config.config_file import is_there
from pychat_client.config.paths import key_file
from pychat_client.errors import PychatError, UsageError
from pychat_client.protocol.endpoint import Credentials
from pychat_client.trust import certificates
from pychat_client.trust.fingerprint import fingerprint
from pychat_client.trust.invitation import Invitation

CERTIFICATE_MAX = 2500
"""Bytes of a certificate that the hello can have: in base64, it has to fit into a line (codec.LINE_MAX)."""


def own_certificate() -> bytes:
    """The certificate (DER) of this user. The first time, makes the key. Raises PychatError."""
    path = key_file()
    if is_there(path):
        files.make_sure(path)
    else:
        certificates.make_certificate(path, "pychat")
    return certificates.certificate_der(path)


def own_credentials(invitation: Invitation | None) -> Credentials:
    """What the hello says of the certificate, where there is one, and of an invitation. Raises UsageError."""
    certificate = None
    with suppress(PychatError):
        certificate = certificates.certificate_der(key_file())
    if certificate is None:
        return Credentials()
    if invitation is None:
        return Credentials(fingerprint(certificate))
    if len(certificate) > CERTIFICATE_MAX:
        raise UsageError(
            f"Your certificate in {key_file()} is too large for an invitation: use one without extras."
        )
    return Credentials(fingerprint(certificate), invitation.secret.hex(), base64.b64encode(certificate).decode())
