"""panoramisk's FastAGI server, deciding nothing: one SET VARIABLE and it is done."""

import asyncio
import sys

from panoramisk import fast_agi


async def screen(request):
    await request.send_command('SET VARIABLE VERDICT "allow"')


async def main(port):
    application = fast_agi.Application(loop=asyncio.get_running_loop())
    application.add_route("screen", screen)
    server = await asyncio.start_server(application.handler, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
