"""Loads a server with threads: stress_test.py host port clients events

Each client has a connection of its own; topics and priorities take turns.
"""

import socket
import sys
import threading
import time

from frames import frame

TOPICS = ("stress.realtime", "stress.transaction", "stress.batch")


class Client(threading.Thread):
    def __init__(self, address: tuple[str, int], number: int, events: int) -> None:
        super().__init__()
        self.address, self.number, self.events = address, number, events
        self.sent = self.errors = 0

    def run(self) -> None:
        try:
            with socket.create_connection(self.address, timeout=30) as connection:
                for i in range(self.events):
                    payload = f"client {self.number} event {i}".encode()
                    connection.sendall(frame(TOPICS[i % len(TOPICS)], payload, i % 5))
                    self.sent += 1
        except OSError:
            self.errors += self.events - self.sent


def main() -> int:
    host, port, clients, events = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    start = time.time()
    threads = [Client((host, port), number, events) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = max(time.time() - start, 1e-9)
    sent = sum(thread.sent for thread in threads)
    errors = sum(thread.errors for thread in threads)
    print(f"sent={sent} errors={errors} rate={sent / seconds:.0f}")
    return 0 if errors == 0 else 1


sys.exit(main())
