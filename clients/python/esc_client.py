"""Client of esc, in one file, for Python 3.9 and newer; the standard library is all it needs.

    with esc_client.connect("127.0.0.1", 9000, token=TOKEN) as client:
        client.publish("orders.new", "hello", priority=2, id="order-1")
        client.flush()
        for event in client.subscribe(["orders.>"], start="earliest"):
            print(event.topic, event.payload)

The wire protocol is docs/protocol.md. One thread of the client's own does all input and output; every method may be
called from any thread. What is published waits in a window until the server has answered for it: a broken connection
is opened again, and what was not answered is sent again. Events with message ids are stored once all the same; those
without may be stored twice. Subscriptions go on where they were.

    answered <= sent <= published <= answered + window_events
"""

import json
import random
import selectors
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

__all__ = ["Client", "EscError", "ReceivedEvent", "Refusal", "Subscription", "connect", "decode_events", "encode_event"]

Bytes = Union[bytes, bytearray, memoryview, str]
Start = Union[str, Dict[str, Any]]

BATCH, LOW, MEDIUM, HIGH, CRITICAL = range(5)
MAX_FRAME_BYTES = 1 << 20

_HELLO, _WELCOME, _ACK, _ERROR, _SUBSCRIBE, _EVENTS, _CONFIRM, _PING, _PONG = range(1, 10)
_CONTROL, _EXT, _CRC = 0x20, 0x40, 0x80
_TAG_ID, _TAG_TIME, _TAG_KEY, _TAG_HEADER = range(1, 5)
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
# An EVENTS frame carries at least one event, and batches as the server finds practical: room for both.
_INBOUND_BYTES_MAX = 64 * MAX_FRAME_BYTES
_BATCH_BYTES = 256 * 1024
_CONFIRM_SECONDS = 0.1


class EscError(Exception):
    """A failure with one of esc's stable codes, such as ``UNAUTHORIZED`` or ``SERVER_UNREACHABLE``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Refusal:
    """Events the server did not take: ``count`` of them from number ``seq`` on, as ``publish()`` numbered them."""

    code: str
    message: str
    seq: int
    count: int


@dataclass(frozen=True)
class ReceivedEvent:
    """An event and its place in the log. Times are microseconds since the Unix epoch."""

    topic: str
    priority: int
    payload: bytes
    lane: str
    shard: int
    offset: int
    received_us: int
    id: Optional[str] = None
    time_us: Optional[int] = None
    key: Optional[str] = None
    headers: Tuple[Tuple[str, str], ...] = ()


def encode_event(
    topic: str,
    payload: Bytes = b"",
    *,
    priority: int = BATCH,
    id: Optional[str] = None,
    time_us: Optional[int] = None,
    key: Optional[Bytes] = None,
    headers: Iterable[Tuple[str, str]] = (),
    crc: bool = False,
    max_frame_bytes: int = MAX_FRAME_BYTES,
) -> bytes:
    """The frame of one event, length prefix included.

    :raises EscError: ``USAGE`` when no server would take the event.
    """
    topic_bytes = _utf8(topic, "Topic")
    if not 1 <= len(topic_bytes) <= 255:
        raise _usage(f"Topic has {len(topic_bytes)} bytes: it needs 1 to 255")
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= CRITICAL:
        raise _usage(f"Priority {priority} is not an integer from 0 to {CRITICAL}")
    ext = b"" if id is None and time_us is None and key is None and not headers else _ext(id, time_us, key, headers)
    if len(ext) > 0xFFFF:
        raise _usage("Message id, key and headers together exceed 65,535 bytes")
    head = priority | (_EXT if ext else 0) | (_CRC if crc else 0)
    parts = [struct.pack(">BH", head, len(topic_bytes)), topic_bytes]
    if ext:
        parts += [struct.pack(">H", len(ext)), ext]
    parts.append(_utf8(payload, "Payload"))
    body = b"".join(parts)
    if crc:
        body += struct.pack(">I", zlib.crc32(body))
    if len(body) > max_frame_bytes:
        raise _usage(f"Event has {len(body)} bytes: the limit is {max_frame_bytes}")
    return struct.pack(">I", len(body)) + body


def _ext(id: Optional[str], time_us: Optional[int], key: Optional[Bytes], headers: Iterable[Tuple[str, str]]) -> bytes:
    entries: List[Tuple[int, bytes]] = []
    if id is not None:
        id_bytes = _utf8(id, "Message id")
        if not 1 <= len(id_bytes) <= 64:
            raise _usage(f"Message id has {len(id_bytes)} bytes: it needs 1 to 64")
        entries.append((_TAG_ID, id_bytes))
    if time_us is not None:
        if not isinstance(time_us, int) or abs(time_us) >= 1 << 53:
            raise _usage(f"Event time {time_us} is not an integer number of microseconds below 2^53")
        entries.append((_TAG_TIME, struct.pack(">q", time_us)))
    if key is not None:
        key_bytes = _utf8(key, "Key")
        if not key_bytes:
            raise _usage("Key is empty")
        entries.append((_TAG_KEY, key_bytes))
    for name, value in headers:
        if name == "" or "\0" in name:
            raise _usage(f"Header name {name!r} is empty or contains U+0000")
        entries.append((_TAG_HEADER, _utf8(name, "Header name") + b"\0" + _utf8(value, "Header value")))
    if any(len(value) > 0xFFFF for _, value in entries):
        raise _usage("Message id, key and headers together exceed 65,535 bytes")
    return b"".join(struct.pack(">BH", tag, len(value)) + value for tag, value in entries)


def decode_events(payload: bytes) -> Tuple[str, List[ReceivedEvent]]:
    """Subscription and events of an EVENTS payload.

    :raises EscError: ``BAD_CONTROL`` when it is not as docs/protocol.md says.
    """
    try:
        at = 1 + payload[0]
        subscription = payload[1:at].decode()
        lane_end = at + 1 + payload[at]
        lane = payload[at + 1 : lane_end].decode()
        (shard,) = struct.unpack_from(">H", payload, lane_end)
        at = lane_end + 2
        events: List[ReceivedEvent] = []
        while at < len(payload):
            offset, _, received_us, size = struct.unpack_from(">QIQI", payload, at)
            at += 24
            end = at + size
            if end > len(payload):
                raise ValueError("a block passes its end")
            while at < end:
                (length,) = struct.unpack_from(">I", payload, at)
                at += 4 + length
                if length < 3 or at > end:
                    raise ValueError("a frame passes the end of its block")
                events.append(_decode_event(payload[at - length : at], lane, shard, offset, received_us))
                offset += 1
        return subscription, events
    except (IndexError, ValueError, struct.error) as error:
        raise EscError("BAD_CONTROL", f"Server sent an EVENTS frame that cannot be read: {error}") from error


def _decode_event(body: bytes, lane: str, shard: int, offset: int, received_us: int) -> ReceivedEvent:
    head, topic_length = struct.unpack_from(">BH", body)
    at = 3 + topic_length
    topic = body[3:at].decode()
    fields: Dict[str, Any] = {}
    headers: List[Tuple[str, str]] = []
    if head & _EXT:
        (ext_length,) = struct.unpack_from(">H", body, at)
        at += 2
        end = at + ext_length
        while at < end:
            tag, length = struct.unpack_from(">BH", body, at)
            value = body[at + 3 : at + 3 + length]
            at += 3 + length
            if tag == _TAG_ID:
                fields["id"] = value.decode(errors="replace")
            elif tag == _TAG_TIME:
                (fields["time_us"],) = struct.unpack(">q", value)
            elif tag == _TAG_KEY:
                fields["key"] = value.decode(errors="replace")
            elif tag == _TAG_HEADER:
                name, _, text = value.partition(b"\0")
                headers.append((name.decode(errors="replace"), text.decode(errors="replace")))
    payload = body[at : len(body) - 4] if head & _CRC else body[at:]
    return ReceivedEvent(topic, head & 7, payload, lane, shard, offset, received_us, headers=tuple(headers), **fields)


def connect(host: str = "127.0.0.1", port: int = 9000, **options: Any) -> "Client":
    """Opens a client; ``options`` are those of :class:`Client`.

    The first connection is tried once, whatever ``reconnect`` says.

    :raises EscError: ``SERVER_UNREACHABLE``, ``TIMEOUT``, or the code with which the server refused.
    """
    return Client(host, port, **options)


class Client:
    """An open client. Close it, or use it as a context manager.

    :param token: For a server with auth.
    :param producer: Name for the server's logs.
    :param acks: ``none``, ``accepted`` (in the lane's queue) or ``durable`` (in the log, fsynced as the lane promises).
    :param tls: ``True``, or an ``ssl.SSLContext`` that knows the authority or has a client certificate.
    :param reconnect: Open a broken connection again and send again what was not answered.
    :param give_up_seconds: The client fails when this long passed without a connection.
    :param window_events: Most events published and not answered; ``publish()`` waits beyond.
    :param window_bytes: Most bytes of them.
    :param on_refused: Is called with a :class:`Refusal`, by the client's own thread: it must not wait for the client.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: Optional[str] = None,
        producer: Optional[str] = None,
        acks: str = "durable",
        tls: Union[bool, ssl.SSLContext] = False,
        reconnect: bool = True,
        give_up_seconds: float = 60.0,
        window_events: int = 65_536,
        window_bytes: int = 4 << 20,
        on_refused: Optional[Callable[[Refusal], None]] = None,
    ) -> None:
        if acks not in ("none", "accepted", "durable"):
            raise _usage(f"acks is {acks!r}: it is none, accepted or durable")
        self._address = (host, port)
        self._hello: Dict[str, Any] = {"acks": acks, "ack_details": True}
        if token is not None:
            self._hello["token"] = token
        if producer is not None:
            self._hello["producer"] = producer
        self._tls = ssl.create_default_context() if tls is True else tls or None
        self._wants_acks = acks != "none"
        self._reconnects = reconnect
        self._give_up_seconds = give_up_seconds
        self._window_events = window_events
        self._window_bytes = window_bytes
        self._on_refused = on_refused
        self.max_frame_bytes = MAX_FRAME_BYTES

        self._changed = threading.Condition()
        # Everything down to the next blank line is read and written with `_changed` held.
        self._unsent: Deque[bytes] = deque()
        self._unanswered: Deque[bytes] = deque()
        self._held_bytes = 0
        self._controls: Deque[bytes] = deque()
        self._published = 0
        self._answered = 0
        self._refused = 0
        self._duplicates_before = 0
        self._duplicates_now = 0
        self._failure: Optional[EscError] = None
        self._pings: Deque["_Ping"] = deque()
        self._subscriptions: Dict[str, "Subscription"] = {}
        self._subscriptions_made = 0
        self._subscribe_refusal: Optional[EscError] = None
        self._is_woken = False
        self._is_closing = False

        # The thread's own.
        self._base = 0
        self._inbound = bytearray()
        self._outbound = memoryview(b"")
        self._outbound_events = 0
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._closing = threading.Event()
        try:
            self._socket = self._open()
        except BaseException:
            self._wake_in.close()
            self._wake_out.close()
            raise
        self._thread = threading.Thread(target=self._run, name="esc-client", daemon=True)
        self._thread.start()

    @property
    def published_count(self) -> int:
        """Events taken by ``publish()``."""
        return self._published

    @property
    def answered_count(self) -> int:
        """Events answered, refused ones included; with ``acks="none"``: handed to the operating system."""
        return self._answered

    @property
    def refused_count(self) -> int:
        """Events the server reported as refused."""
        return self._refused

    @property
    def duplicate_count(self) -> int:
        """Events the server had stored before under their message id; with ``acks="durable"``."""
        return self._duplicates_before + self._duplicates_now

    def publish(self, topic: str, payload: Bytes = b"", **fields: Any) -> int:
        """Takes one event for sending; it goes out at once, together with what else is there.

        Waits while the window is full. ``fields`` are those of :func:`encode_event`.

        :returns: Its number, from 1, among all that this client has taken: refusals name it.
        :raises EscError: ``USAGE`` when no server would take the event; or why the client has failed.
        """
        frame = encode_event(topic, payload, max_frame_bytes=self.max_frame_bytes, **fields)
        with self._changed:
            while self._failure is None and not self._has_room():
                self._changed.wait()
            self._check()
            self._unsent.append(frame)
            self._held_bytes += len(frame)
            self._published += 1
            self._wake()
            return self._published

    def flush(self, timeout: Optional[float] = None) -> None:
        """Waits until the server has answered for everything published so far.

        With ``acks="none"``: until it has read everything, so that every refusal has been reported.

        :raises EscError: ``TIMEOUT`` after ``timeout`` seconds, or why the client has failed.
        """
        deadline = _deadline(timeout)
        with self._changed:
            target = self._published
            self._wait_until(lambda: self._answered >= target, deadline, "to answer for what was published")
        if not self._wants_acks:
            self._ping(deadline)

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        start: Start = "latest",
        consumer: Optional[str] = None,
        max_in_flight: int = 1_000,
        lanes: Optional[Sequence[str]] = None,
    ) -> "Subscription":
        """Begins to receive events: iterate over what it returns.

        :param start: ``latest``, ``earliest``, ``{"time_us": t}`` or ``{"offsets": {"lane/shard": n}, "others": ...}``.
        :param consumer: Name of a durable consumer: the server stores how far it has come, and that wins over ``start``.
        :param max_in_flight: Most events received and not handled.
        :raises EscError: With the server's code when it refuses the subscription.
        """
        with self._changed:
            self._check()
            self._subscriptions_made += 1
            subscription = Subscription(
                self, f"s{self._subscriptions_made}", list(topics), start, consumer, max_in_flight, lanes
            )
            self._subscriptions[subscription.id] = subscription
            self._subscribe_refusal = None
            self._send(_SUBSCRIBE, subscription._request())
        # The server opens a subscription after it has dealt with what arrived together with the request, the first
        # PING included. So its refusal lies between the first PONG and the second.
        try:
            self._ping(_deadline(self._give_up_seconds + _ANSWER_SECONDS))
            self._ping(_deadline(self._give_up_seconds + _ANSWER_SECONDS))
            if self._subscribe_refusal is not None:
                raise self._subscribe_refusal
        except EscError:
            subscription.close()
            raise
        return subscription

    def close(self, timeout: Optional[float] = 10.0) -> None:
        """Waits until everything published is answered for, confirms what was handled, and closes.

        :raises EscError: If that cannot be done within ``timeout`` seconds; it is closed all the same.
        """
        deadline = _deadline(timeout)
        try:
            if self._failure is None:
                self.flush(timeout)
                for subscription in list(self._subscriptions.values()):
                    subscription._confirm_handled()
                # Its answer says that the confirmations have been read.
                if self._subscriptions:
                    self._ping(deadline)
        finally:
            self.abort()

    def abort(self) -> None:
        """Closes at once; what was not answered may or may not have arrived."""
        with self._changed:
            self._is_closing = True
            self._closing.set()
            self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    # Called with `_changed` held.

    def _has_room(self) -> bool:
        held = len(self._unsent) + len(self._unanswered)
        return held == 0 or (held < self._window_events and self._held_bytes < self._window_bytes)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._is_closing:
            raise EscError("SERVER_UNREACHABLE", "The client is closed")

    def _wake(self) -> None:
        if self._is_woken:
            return
        self._is_woken = True
        try:
            self._wake_out.send(b"!")
        except OSError:
            pass  # The thread has ended, or has enough to be woken by.

    def _send(self, opcode: int, value: object) -> None:
        self._controls.append(_control(opcode, json.dumps(value).encode()))
        self._wake()

    def _wait_until(self, is_done: Callable[[], bool], deadline: Optional[float], what: str) -> None:
        while not is_done():
            self._check()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise EscError("TIMEOUT", f"Waited too long for the server {what}")
            self._changed.wait(left)

    # Called from any thread.

    def _ping(self, deadline: Optional[float]) -> None:
        """Waits for an answer of the server, on as many connections as that takes."""
        while True:
            ping = _Ping()
            with self._changed:
                self._check()
                self._pings.append(ping)
                self._controls.append(_control(_PING, b"?"))
                self._wake()
                self._wait_until(lambda: ping.is_answered or ping.is_lost, deadline, "to answer PING")
            if ping.is_answered:
                return

    # The thread.

    def _run(self) -> None:
        error = EscError("SERVER_UNREACHABLE", "The client is closed")
        try:
            while not self._is_closing:
                try:
                    self._converse()
                except (OSError, EscError) as cause:
                    error = _as_esc_error(cause)
                    self._lost(error)
                    if not self._reconnects or not self._open_again():
                        break
        except Exception as cause:  # Whoever waits must not wait for ever.
            error = _as_esc_error(cause)
            raise
        finally:
            with self._changed:
                self._is_closing = True
                self._failure = error
                self._changed.notify_all()
            for one in (self._socket, self._wake_in, self._wake_out):
                one.close()

    def _open_again(self) -> bool:
        delay = 0.05
        deadline = time.monotonic() + self._give_up_seconds
        while time.monotonic() < deadline:
            # A little chance, so that many clients do not come back in the same moment.
            if self._closing.wait(delay * random.uniform(0.5, 1.0)):
                return False
            delay = min(delay * 2, 5.0)
            try:
                self._socket = self._open()
                return True
            except EscError:
                continue
        return False

    def _open(self) -> socket.socket:
        """Connects and greets; what is to be sent again comes first then."""
        host, port = self._address
        opened: Optional[socket.socket] = None
        try:
            opened = socket.create_connection(self._address, _CONNECT_SECONDS)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                opened = self._tls.wrap_socket(opened, server_hostname=host)
            opened.settimeout(_ANSWER_SECONDS)
            opened.sendall(_control(_HELLO, json.dumps(self._hello).encode()))
            self._inbound = bytearray()
            self._await_welcome(opened)
            opened.setblocking(False)
        except OSError as error:
            if opened is not None:
                opened.close()
            raise EscError("SERVER_UNREACHABLE", f"Cannot connect to {host}:{port}: {error}") from error
        except BaseException:
            if opened is not None:
                opened.close()
            raise
        with self._changed:
            self._base = self._answered
            self._unsent.extendleft(reversed(self._unanswered))
            self._unanswered.clear()
            self._duplicates_before += self._duplicates_now
            self._duplicates_now = 0
            self._outbound = memoryview(b"")
            self._outbound_events = 0
            self._controls.clear()
            for subscription in self._subscriptions.values():
                self._send(_SUBSCRIBE, subscription._request())
        return opened

    def _await_welcome(self, opened: socket.socket) -> None:
        while True:
            try:
                chunk = opened.recv(65_536)
            except socket.timeout as error:
                raise EscError("TIMEOUT", f"Server did not answer HELLO within {_ANSWER_SECONDS:g} s") from error
            if not chunk:
                raise EscError("SERVER_UNREACHABLE", "Server closed the connection before it welcomed the client")
            self._inbound += chunk
            for body in self._bodies():
                if body[:2] == bytes((_CONTROL, _ERROR)):
                    report = _json_of(body[2:], "ERROR")
                    raise EscError(str(report.get("code")), f"Server refused: {report.get('message')}")
                if body[:2] == bytes((_CONTROL, _WELCOME)):
                    self.max_frame_bytes = int(_json_of(body[2:], "WELCOME")["max_frame_bytes"])
                    return

    def _converse(self) -> None:
        """Reads and writes until the connection ends or the client does."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            watched = selectors.EVENT_READ
            while not self._is_closing:
                wanted = selectors.EVENT_READ if self._write() else selectors.EVENT_READ | selectors.EVENT_WRITE
                if wanted != watched:
                    selector.modify(self._socket, wanted)
                    watched = wanted
                for key, _ in selector.select():
                    if key.fileobj is self._wake_in:
                        self._sleep_again()
                self._read()

    def _sleep_again(self) -> None:
        with self._changed:
            self._is_woken = False
            self._wake_in.recv(64)

    def _write(self) -> bool:
        """Sends what there is. Returns whether nothing is left."""
        while True:
            while self._outbound:
                try:
                    self._outbound = self._outbound[self._socket.send(self._outbound) :]
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    return False
            with self._changed:
                if not self._wants_acks and self._outbound_events:
                    self._release(self._outbound_events)
                if not self._fill():
                    return True

    def _fill(self) -> bool:
        """Gathers the next batch. Returns whether there is one."""
        parts = list(self._controls)
        self._controls.clear()
        size = 0
        events = 0
        while self._unsent and size < _BATCH_BYTES:
            frame = self._unsent.popleft()
            self._unanswered.append(frame)
            parts.append(frame)
            size += len(frame)
            events += 1
        self._outbound = memoryview(b"".join(parts))
        self._outbound_events = events
        return bool(parts)

    def _read(self) -> None:
        while True:
            try:
                chunk = self._socket.recv(_BATCH_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not chunk:
                raise EscError("SERVER_UNREACHABLE", "Server closed the connection")
            self._inbound += chunk
            for body in self._bodies():
                self._receive(body)
            # TLS may have decrypted more than was asked for; the selector would not tell.
            if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                return

    def _bodies(self) -> Iterator[bytes]:
        """Cuts whole frames off what was received."""
        buffer = self._inbound
        at = 0
        try:
            while len(buffer) - at >= 4:
                (length,) = struct.unpack_from(">I", buffer, at)
                if length < 2 or length > _INBOUND_BYTES_MAX:
                    raise EscError("BAD_LENGTH", f"Server sent a frame of {length} bytes: is an esc server there?")
                if len(buffer) - at < 4 + length:
                    return
                at += 4 + length
                yield bytes(memoryview(buffer)[at - length : at])
        finally:
            del buffer[:at]

    def _receive(self, body: bytes) -> None:
        opcode = body[1] if body[0] == _CONTROL else 0
        payload = body[2:]
        if opcode == _EVENTS:
            self._deliver(payload)
        elif opcode == _ACK and len(payload) in (8, 16):
            with self._changed:
                self._release(self._base + int.from_bytes(payload[:8], "big") - self._answered)
                if len(payload) == 16:
                    self._duplicates_now = int.from_bytes(payload[8:], "big")
        elif opcode == _ERROR:
            self._refuse(_json_of(payload, "ERROR"))
        elif opcode == _PONG:
            with self._changed:
                if self._pings:
                    self._pings.popleft().is_answered = True
                    self._changed.notify_all()
        elif opcode == _PING:
            with self._changed:
                self._controls.append(_control(_PONG, payload))
        else:
            raise EscError("BAD_CONTROL", f"Server sent an unknown frame (head {body[0]}, opcode {body[1]})")

    def _release(self, count: int) -> None:
        """Events are answered for. With `_changed` held."""
        if count > len(self._unanswered):
            raise EscError("BAD_CONTROL", "Server acknowledged more events than were sent")
        for _ in range(count):
            self._held_bytes -= len(self._unanswered.popleft())
        self._answered += max(0, count)
        self._outbound_events = 0
        self._changed.notify_all()

    def _refuse(self, report: Dict[str, Any]) -> None:
        code, message, seq = str(report.get("code")), str(report.get("message")), report.get("seq")
        if seq is None:
            self._subscribe_refusal = EscError(code, f"Server refused: {message}")
            return
        refusal = Refusal(code, message, self._base + int(seq), int(report.get("count", 1)))
        self._refused += refusal.count
        if self._on_refused is not None:
            self._on_refused(refusal)

    def _deliver(self, payload: bytes) -> None:
        id, events = decode_events(payload)
        with self._changed:
            subscription = self._subscriptions.get(id)
            if subscription is not None:
                subscription._take(events)
                self._changed.notify_all()

    def _lost(self, error: EscError) -> None:
        self._socket.close()
        with self._changed:
            for ping in self._pings:
                ping.is_lost = True
            self._pings.clear()
            self._changed.notify_all()


class Subscription:
    """Events one by one: iterate over it. An event counts as handled when the next one is asked for.

    What was handled is confirmed to the server, and a durable consumer goes on behind it. For one thread at a time.
    """

    def __init__(
        self,
        client: Client,
        id: str,
        topics: List[str],
        start: Start,
        consumer: Optional[str],
        max_in_flight: int,
        lanes: Optional[Sequence[str]],
    ) -> None:
        self.id = id
        self._client = client
        self._changed = client._changed
        self._topics = topics
        self._start = start
        self._more: Dict[str, Any] = {"max_in_flight": max_in_flight}
        if consumer is not None:
            self._more["consumer"] = consumer
        if lanes is not None:
            self._more["lanes"] = list(lanes)
        self._confirm_count = max(1, max_in_flight // 2)
        self._asked_us: Optional[int] = None
        # At most `max_in_flight` events: the server sends no more before they are confirmed.
        self._waiting: Deque[ReceivedEvent] = deque()
        # Offsets by "lane/shard": the next one wanted, the one behind what was taken out, and behind what was handled.
        self._next: Dict[str, int] = {}
        self._taken: Dict[str, int] = {}
        self._handled: Dict[str, int] = {}
        self._given: Optional[ReceivedEvent] = None
        self._unconfirmed = 0
        self._is_closed = False

    def __iter__(self) -> "Subscription":
        return self

    def __next__(self) -> ReceivedEvent:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def get(self, timeout: Optional[float] = None) -> Optional[ReceivedEvent]:
        """The next event, or ``None`` when none came within ``timeout`` seconds or the subscription was closed.

        :raises EscError: Why the client has failed, once all that was received before is taken out.
        """
        deadline = _deadline(timeout)
        confirm_at = time.monotonic() + _CONFIRM_SECONDS
        with self._changed:
            self._note_handled()
            while not self._waiting:
                if self._is_closed:
                    return None
                self._client._check()
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    return None
                if self._unconfirmed and now >= confirm_at:
                    self._confirm_handled()
                ends = [] if deadline is None else [deadline]
                if self._unconfirmed:
                    ends.append(confirm_at)
                self._changed.wait(min(ends) - now if ends else None)
            given = self._given = self._waiting.popleft()
            self._taken[f"{given.lane}/{given.shard}"] = given.offset + 1
            return given

    def confirm(self) -> None:
        """Says that everything given so far is handled, and tells the server now."""
        with self._changed:
            self._note_handled()
            self._confirm_handled()

    def close(self) -> None:
        """Ends it. The event given last counts as not handled: call ``confirm()`` before, if it is."""
        with self._changed:
            self._confirm_handled()
            self._is_closed = True
            self._waiting.clear()
            self._client._subscriptions.pop(self.id, None)
            self._changed.notify_all()

    # Called with `_changed` held.

    def _request(self) -> Dict[str, Any]:
        if self._asked_us is None:
            self._asked_us = time.time_ns() // 1000
            start = self._start
        else:
            # What waits here unseen comes again: were it kept, it would be more with every broken connection.
            self._waiting.clear()
            self._next = dict(self._taken)
            start = self._go_on()
        return {"id": self.id, "topics": self._topics, "from": start, **self._more}

    def _go_on(self) -> Dict[str, Any]:
        """Shards that have sent nothing yet go on as they began; at the end, as it was when we first asked."""
        asked: Dict[str, int] = {}
        others: Start = self._start
        if isinstance(self._start, dict) and "offsets" in self._start:
            asked = self._start["offsets"]
            others = self._start.get("others", "latest")
        if others == "latest":
            others = {"time_us": self._asked_us}
        return {"offsets": {**asked, **self._taken}, "others": others}

    def _take(self, events: List[ReceivedEvent]) -> None:
        for event in events:
            key = f"{event.lane}/{event.shard}"
            # A durable consumer that reconnects is sent again what was not confirmed, and what is sent has to be.
            if event.offset < self._next.get(key, 0):
                self._unconfirmed += 1
                continue
            self._next[key] = event.offset + 1
            self._waiting.append(event)

    def _note_handled(self) -> None:
        given = self._given
        if given is None:
            return
        self._given = None
        self._handled[f"{given.lane}/{given.shard}"] = given.offset + 1
        self._unconfirmed += 1
        if self._unconfirmed >= self._confirm_count:
            self._confirm_handled()

    def _confirm_handled(self) -> None:
        with self._changed:
            if self._unconfirmed and not self._is_closed:
                self._unconfirmed = 0
                self._client._send(_CONFIRM, {"id": self.id, "offsets": self._handled})


@dataclass
class _Ping:
    is_answered: bool = field(default=False)
    is_lost: bool = field(default=False)


def _control(opcode: int, payload: bytes) -> bytes:
    return struct.pack(">IBB", 2 + len(payload), _CONTROL, opcode) + payload


def _json_of(payload: bytes, name: str) -> Dict[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise EscError("BAD_CONTROL", f"Server sent {name} that is not JSON") from error
    if not isinstance(value, dict):
        raise EscError("BAD_CONTROL", f"Server sent {name} that is not a JSON object")
    return value


def _utf8(value: Bytes, name: str) -> bytes:
    if not isinstance(value, str):
        return bytes(value)
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise _usage(f"{name} has a lone surrogate: it cannot be written as UTF-8") from error


def _usage(problem: str) -> EscError:
    return EscError("USAGE", f"Cannot publish: {problem}")


def _deadline(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None else time.monotonic() + timeout


def _as_esc_error(error: Exception) -> EscError:
    if isinstance(error, EscError):
        return error
    return EscError("SERVER_UNREACHABLE" if isinstance(error, OSError) else "INTERNAL", str(error))
