"""genesis's outbound server, deciding nothing: no events, no linger, one multiset."""

import asyncio
import sys

from genesis import Outbound, use_uvloop


async def screen(session):
    await session.sendmsg("execute", "multiset", "^^:VERDICT=allow")
    await session.send("exit")


async def main(port):
    await Outbound(screen, "127.0.0.1", port, events=False, linger=False).start()


use_uvloop()
asyncio.run(main(int(sys.argv[1])))
