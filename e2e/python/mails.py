"""Mails as the mail server of the tests keeps them, read with Python's own parser."""

import email
import email.policy
import re
from pathlib import Path

from conftest import setting, wait_until


def mails_to(address):
    found = []
    for path in sorted(Path(setting("AXP_E2E_MAIL")).glob("*.eml"), key=lambda it: int(it.stem)):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if mail["to"] == address:
            found.append(mail)
    return found


def wait_mail(address, number=1, seconds=30):
    """The mail with that number to an address."""
    enough = wait_until(lambda: mails_to(address)[number - 1 :], seconds, f"mail to {address}")
    return enough[0]


def links(mail):
    """The link of the page, and those of the outcomes by their names."""
    text = mail.get_body(("plain",)).get_content()
    found = re.findall(r"https?://\S+/t/[\w-]{64}(?:\?outcome=\S+)?", text)
    plain = next(link for link in found if "?" not in link)
    return plain, {link.rpartition("=")[2]: link for link in found if "?" in link}


def path_of(link):
    """A link as a gateway of the tests serves it."""
    return "/t/" + link.partition("/t/")[2]
