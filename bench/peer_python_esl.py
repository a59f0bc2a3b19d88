"""python-ESL's connection, deciding nothing, a thread for each: one multiset and it is done."""

import socket
import sys
import threading

import ESL


def screen(descriptor):
    session = ESL.ESLconnection(descriptor)
    session.execute("multiset", "^^:VERDICT=allow")
    session.sendRecv("exit")
    session.disconnect()


with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100) as listener:
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=screen, args=(accepted.detach(),), daemon=True).start()
