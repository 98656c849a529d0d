"""Runs clients/conformance.json with this client: ``conformance.py FILE WORLD`` prints the results as JSON.

WORLD is JSON: ``{run, tokens, servers: {name: {tcp, ca?}}}``. Results are compared by who starts this. The line
``restart NAME`` asks for a server to be killed and started; a line on stdin says that it is up again.
"""

import json
import ssl
import sys
from typing import Any, Dict, List

import esc_client
from esc_client import EscError


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        conformance = json.load(file)
    world = json.loads(sys.argv[2])
    results: Dict[str, Any] = {}
    for case in conformance["encode"]:
        results[f"encode: {case['name']}"] = encoded(case)
    for case in conformance["decode"]:
        results[f"decode: {case['name']}"] = decoded(bytes.fromhex(case["hex"]))
    for scenario in conformance["live"]:
        if scenario["server"] in world["servers"] and scenario.get("transport", "tcp") == "tcp":
            results[f"live: {scenario['name']}"] = Play(scenario, world).run()
    print(json.dumps(results), flush=True)


def encoded(case: Dict[str, Any]) -> str:
    limit = case.get("max_frame_bytes", esc_client.MAX_FRAME_BYTES)
    try:
        frame = esc_client.encode_event(**fields_of(case["event"]), max_frame_bytes=limit)
    except EscError:
        return "refused"
    return frame.hex() if len(frame) <= 2048 else f"{len(frame)}: {frame[:16].hex()}..{frame[-16:].hex()}"


def decoded(payload: bytes) -> Any:
    try:
        subscription, events = esc_client.decode_events(payload)
    except EscError:
        return "refused"
    return {"subscription": subscription, "events": [shown(event) for event in events]}


def shown(event: esc_client.ReceivedEvent) -> Dict[str, Any]:
    fields = {name: value for name, value in vars(event).items() if value is not None and value != ()}
    fields["payload_hex"] = fields.pop("payload", b"").hex()
    return fields


def fields_of(written: Dict[str, Any]) -> Dict[str, Any]:
    """An event as the file writes it, as arguments of publish()."""
    fields = {name: written[name] for name in ("priority", "id", "time_us", "key", "crc") if name in written}
    if "payload_hex" in written:
        fields["payload"] = bytes.fromhex(written["payload_hex"])
    else:
        fields["payload"] = written.get("payload", "") * written.get("payload_times", 1)
    if "headers" in written:
        fields["headers"] = [(name, value * (times[0] if times else 1)) for name, value, *times in written["headers"]]
    return {"topic": written["topic"] * written.get("topic_times", 1), **fields}


class Play:
    """One scenario on its way."""

    def __init__(self, scenario: Dict[str, Any], world: Dict[str, Any]) -> None:
        self.scenario = scenario
        self.world = world
        self.clients: Dict[str, esc_client.Client] = {}
        self.refused: Dict[str, List[Any]] = {}
        self.subscriptions: Dict[str, esc_client.Subscription] = {}
        self.last_received_us = 0

    def run(self) -> List[Any]:
        """What the steps have to say, in their order."""
        said: List[Any] = []
        try:
            for step in self.scenario["steps"]:
                try:
                    if step["do"] not in ("connect", "restart", "restarted") and step.get("client", "a") not in self.clients:
                        raise EscError("USAGE", f"No client for {step['do']}")
                    result = getattr(self, step["do"])(step.get("client", "a"), step)
                except EscError as error:
                    result = {"error": error.code}
                if result is not None:
                    said.append(result)
        finally:
            for client in self.clients.values():
                client.abort()
        return said

    def connect(self, name: str, step: Dict[str, Any]) -> str:
        place = self.world["servers"][self.scenario["server"]]
        host, _, port = place["tcp"].rpartition(":")
        refused: List[Any] = []
        self.clients[name] = esc_client.connect(
            host,
            int(port),
            token=self.world["tokens"].get(step.get("token")),
            acks=step.get("acks", "durable"),
            tls=trusting(place["ca"]) if "ca" in place else False,
            reconnect=step.get("reconnect", False),
            window_events=step.get("in_flight", 65_536),
            on_refused=lambda one: refused.extend([one.code, one.seq + at] for at in range(one.count)),
        )
        self.refused[name] = refused
        return "connected"

    def publish(self, name: str, step: Dict[str, Any]) -> None:
        first = step.get("first", 1)
        for number in range(first, first + step["count"]):
            fields = {"id": f"{self.text(step['ids'])}{number}"} if "ids" in step else {}
            self.clients[name].publish(self.text(step["topic"]), str(number), priority=step.get("priority", 2), **fields)

    def event(self, name: str, step: Dict[str, Any]) -> None:
        fields = fields_of(step["event"])
        fields.update({part: self.text(fields[part]) for part in ("topic", "id") if part in fields})
        self.clients[name].publish(**fields)

    def flush(self, name: str, step: Dict[str, Any]) -> Dict[str, int]:
        client = self.clients[name]
        client.flush()
        counts = {"answered": client.answered_count, "refused": client.refused_count, "duplicates": client.duplicate_count}
        return {key: counts[key] for key in step.get("show", ["answered", "refused"])}

    def refusals(self, name: str, step: Dict[str, Any]) -> List[Any]:
        return self.refused[name]

    def subscribe(self, name: str, step: Dict[str, Any]) -> None:
        start = step.get("from", "earliest")
        if isinstance(start, dict) and start.get("after_last"):
            start = {"time_us": self.last_received_us + 1}
        more = {"max_in_flight": step["max_in_flight"]} if "max_in_flight" in step else {}
        if "consumer" in step:
            more["consumer"] = self.text(step["consumer"])
        topics = [self.text(topic) for topic in step["topics"]]
        self.subscriptions[name] = self.clients[name].subscribe(topics, start=start, **more)

    def collect(self, name: str, step: Dict[str, Any]) -> str:
        payloads: List[str] = []
        for event in self.subscriptions[name]:
            self.last_received_us = event.received_us
            payload = event.payload.decode()
            if payload == step.get("until"):
                break
            payloads.append(payload)
            if len(payloads) == step.get("count"):
                break
        if step.get("confirm"):
            self.subscriptions[name].confirm()
        return in_short(payloads)

    def close(self, name: str, step: Dict[str, Any]) -> None:
        self.clients[name].close()

    def restart(self, name: str, step: Dict[str, Any]) -> None:
        print(f"restart {self.scenario['server']}", flush=True)

    def restarted(self, name: str, step: Dict[str, Any]) -> None:
        sys.stdin.readline()

    def text(self, text: str) -> str:
        return text.replace("{run}", self.world["run"])


def trusting(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    # Python 3.13 wants extensions in an authority's certificate that not every one has, a test's for instance.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def in_short(payloads: List[str]) -> str:
    """`1..5` for consecutive numbers: `1..5 7 x`."""
    parts: List[str] = []
    at = 0
    while at < len(payloads):
        end = at + 1
        while end < len(payloads) and payloads[at].isdigit() and payloads[end] == str(int(payloads[at]) + end - at):
            end += 1
        parts.append(payloads[at] if end - at == 1 else f"{payloads[at]}..{payloads[end - 1]}")
        at = end
    return " ".join(parts)


if __name__ == "__main__":
    main()
