"""What is asked of certificates."""

import ssl

import pytest

from tiltd.adapters import tls


def strict(**_: object) -> ssl.SSLContext:
    """As Python makes one since 3.13."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


def test_certificates_need_no_more_than_go_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", strict)
    made = tls.context()
    assert not made.verify_flags & ssl.VERIFY_X509_STRICT
    assert (made.check_hostname, made.verify_mode) == (True, ssl.CERT_REQUIRED)
