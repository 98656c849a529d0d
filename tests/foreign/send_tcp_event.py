"""Sends n events over one TCP connection, one write each: send_tcp_event.py host port n topic"""

import socket
import sys
import time

from frames import frame


def main() -> int:
    host, port, count, topic = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    sent = errors = 0
    start = time.time()
    with socket.create_connection((host, port), timeout=10) as connection:
        for number in range(count):
            try:
                connection.sendall(frame(topic, f"tcp event {number}".encode(), 3))
                sent += 1
            except OSError:
                errors += 1
    seconds = max(time.time() - start, 1e-9)
    print(f"sent={sent} errors={errors} rate={sent / seconds:.0f}")
    return 0 if errors == 0 else 1


sys.exit(main())
