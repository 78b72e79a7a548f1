"""What aiohttp makes while it is imported must cost nothing, and nobody else must notice."""

import ssl
import threading

from tiltd.adapters.kubernetes import trust


def certificates() -> int:
    return len(ssl.create_default_context().get_ca_certs())


def test_a_context_of_the_thread_that_imports_trusts_nobody_and_all_others_are_whole() -> None:
    usual, elsewhere = certificates(), list[int]()
    with trust.none_loaded():
        other = threading.Thread(target=lambda: elsewhere.append(certificates()))
        other.start()
        other.join()
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.set_default_verify_paths()
        assert certificates() == len(unverified.get_ca_certs()) == 0
        assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
    assert elsewhere == [usual]
    assert certificates() == usual
