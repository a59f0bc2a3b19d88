"""greenswitch's outbound server, deciding nothing: one multiset, and it sends ``exit`` itself."""

import sys

from gevent import monkey

monkey.patch_all()

from greenswitch import OutboundESLServer  # noqa: E402


class Screen:
    def __init__(self, session):
        self.session = session

    def run(self):
        self.session.call_command("multiset", "^^:VERDICT=allow")


OutboundESLServer("127.0.0.1", int(sys.argv[1]), Screen).listen()
