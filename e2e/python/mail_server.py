"""A mail server, a process of its own: takes what it is sent and keeps each mail as a file.

Argument: a folder. Writes its port into `port` there, and mails as 1.eml, 2.eml ...; mail to an
address that begins with `refuse` is refused for good, with `busy` for now.
"""

import signal
import sys
from pathlib import Path

from aiosmtpd.controller import Controller


class Keeper:
    def __init__(self, folder):
        self.folder, self.count = folder, 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refuse"):
            return "550 no such mailbox"
        if address.startswith("busy"):
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        draft = self.folder / f"{self.count}.part"
        draft.write_bytes(envelope.original_content)
        draft.rename(self.folder / f"{self.count}.eml")
        return "250 kept"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    controller = Controller(Keeper(folder), hostname="127.0.0.1", port=int(sys.argv[2]))
    controller.start()
    (folder / "port").write_text(str(controller.port))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()
