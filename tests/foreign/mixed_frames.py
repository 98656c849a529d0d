"""What a careless or broken sender does: mixed_frames.py host port

Good frames between bad ones, several frames a write, frames cut between writes, a large payload, an empty one, and
a connection that ends in the middle of a frame. Prints how many frames were good and how many bad.
"""

import socket
import struct
import sys

from frames import frame


def main() -> int:
    host, port = sys.argv[1], int(sys.argv[2])
    good = bad = 0
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        batch = b"".join(frame("foreign.mixed", f"batch {i}".encode(), i % 5) for i in range(100))
        connection.sendall(batch)
        good += 100
        for wrong in (
            frame("foreign.mixed", b"priority", 7),
            struct.pack("!IBH", 3, 1, 0),
            struct.pack("!IBH", 8, 1, 500) + b"short",
            struct.pack("!IBH", 5, 1, 2) + b"\xff\xfe",
        ):
            connection.sendall(wrong + frame("foreign.mixed", b"after a bad one", 2))
            bad += 1
            good += 1
        whole = frame("foreign.mixed", b"cut into bytes", 4)
        for byte in whole:
            connection.sendall(bytes([byte]))
        connection.sendall(frame("foreign.large", b"x" * 1_000_000, 1))
        connection.sendall(frame("foreign.mixed", b"", 0))
        good += 3
        # The connection ends inside a frame.
        connection.sendall(frame("foreign.mixed", b"never whole", 1)[:-1])
        bad += 1
    print(f"good={good} bad={bad}")
    return 0


sys.exit(main())
