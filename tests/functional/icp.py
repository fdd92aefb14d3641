# SPDX-License-Identifier: GPL-2.0-or-later
"""ICP version 2, written from RFC 2186 alone, without code of this project."""

import socket
import struct

PORT = 3130
HEADER = struct.Struct("!BBHIII4s")
QUERY, HIT, MISS, ERR, SECHO, DECHO, MISS_NOFETCH, DENIED, HIT_OBJ = 1, 2, 3, 4, 10, 11, 21, 22, 23
VERDICTS = {"hit": HIT, "miss": MISS, "err": ERR, "miss_nofetch": MISS_NOFETCH, "denied": DENIED}
FLAG_HIT_OBJ, FLAG_SRC_RTT = 0x80000000, 0x40000000

# Not zero, so that a reply that omits or confuses them is detected.
SENDER, REQUESTER = "192.0.2.7", "192.0.2.99"


def message(
    payload, *, opcode, number, version=2, length=None, options=0, option_data=0, sender=SENDER
):
    """A message with any header, even a wrong length."""
    if length is None:
        length = HEADER.size + len(payload)
    return (
        HEADER.pack(
            opcode, version, length & 0xFFFF, number, options, option_data, socket.inet_aton(sender)
        )
        + payload
    )


def query(url, number, *, end=b"\0", opcode=QUERY, **header):
    return message(
        socket.inet_aton(REQUESTER) + to_bytes(url) + end, opcode=opcode, number=number, **header
    )


def answer(verdict, url, number, **header):
    """The reply to a query for `url`, byte for byte, if the verdict is `verdict`."""
    return message(to_bytes(url) + b"\0", opcode=VERDICTS[verdict], number=number, **header)


def error_without_url(number):
    """The reply to a query without a valid URL: 21 bytes."""
    return message(b"\0", opcode=ERR, number=number)


def verdict_of(reply):
    """Name of a reply's opcode."""
    names = {opcode: name for name, opcode in VERDICTS.items()}
    return names.get(reply[0], f"opcode {reply[0]}")


def to_bytes(url):
    return url if isinstance(url, bytes) else url.encode()
