"""Frames of the original engine, as its users' own senders write them.

    frame = u32be length | u8 priority | u16be topic length | topic | payload
"""

import struct


def frame(topic: str, payload: bytes, priority: int) -> bytes:
    name = topic.encode("utf-8")
    body = struct.pack("!BH", priority, len(name)) + name + payload
    return struct.pack("!I", len(body)) + body
