"""panoramisk's FastAGI server, deciding nothing: one SET VARIABLE and it is done.

peer_panoramisk.py PORT [uvloop]
"""

import asyncio
import sys

from panoramisk import fast_agi


async def screen(request):
    await request.send_command('SET VARIABLE VERDICT "allow"')


async def main(port):
    application = fast_agi.Application(loop=asyncio.get_running_loop())
    application.add_route("screen", screen)
    server = await asyncio.start_server(application.handler, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if sys.argv[2:] == ["uvloop"]:
    import uvloop

    uvloop.install()
asyncio.run(main(int(sys.argv[1])))
