"""Sends n events, one a datagram: send_udp_event.py host port n topic"""

import socket
import sys
import time

from frames import frame


def main() -> int:
    host, port, count, topic = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    sent = errors = 0
    start = time.time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            try:
                sender.sendto(frame(topic, f"udp event {number}".encode(), 1), (host, port))
                sent += 1
            except OSError:
                errors += 1
            # UDP has no way to say "wait": a short pause now and then stands in for one.
            if number % 64 == 63:
                time.sleep(0.001)
    seconds = max(time.time() - start, 1e-9)
    print(f"sent={sent} errors={errors} rate={sent / seconds:.0f}")
    return 0 if errors == 0 else 1


sys.exit(main())
