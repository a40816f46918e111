"""TLS in front of a program that speaks none."""

import ssl

from .tcp_proxy import TcpProxy


class TlsProxy(TcpProxy):
    """Shows a certificate of certificates.py, which use() replaces."""

    def __init__(self, target, certificate):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.num_tickets = 0  # a session that goes on would not be shown another certificate
        self._context.load_cert_chain(certificate.chain, certificate.key)
        super().__init__(target, self._context)

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def use(self, certificate):
        """From the next connection on; those there are end."""
        self._context.load_cert_chain(certificate.chain, certificate.key)
        self.cut()
