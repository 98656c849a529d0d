"""The README examples of the original's gRPC page, and what goes beyond them. Prints one JSON line."""
import json
import sys

import grpc

sys.path.insert(0, sys.argv[1])
import eventstream_pb2 as pb
from eventstream_pb2_grpc import EventServiceStub

channel = grpc.insecure_channel(sys.argv[2])
client = EventServiceStub(channel)
result = {}

subscription = client.Subscribe(pb.SubscribeRequest(topic_pattern="sensors/*", min_priority=pb.Priority.LOW))
subscription.initial_metadata()

event = pb.Event(
    id="evt-12345",
    topic="sensors/temperature",
    payload=b'{"value": 23.5, "unit": "celsius"}',
    priority=pb.Priority.HIGH,
    timestamp_ns=1_700_000_000_123_456_000,
    metadata={"sensor_id": "temp-001", "location": "room-1"},
)
response = client.Publish(pb.PublishRequest(event=event))
result["publish"] = [response.success, response.latency_ns > 0]

events = [
    pb.Event(topic="sensors/cpu", payload=b"45", priority=pb.Priority.LOW),
    pb.Event(topic="", payload=b"no topic"),
    pb.Event(topic="sensors/quiet", payload=b"left out", priority=pb.Priority.BATCH),
    pb.Event(topic="metrics/disk", payload=b"75", priority=pb.Priority.LOW),
]
response = client.PublishBatch(pb.PublishBatchRequest(events=events))
result["batch"] = [response.success, [[error.index, error.code] for error in response.errors]]

received = []
for event in subscription:
    received.append([event.topic, event.payload.decode(), event.priority, event.timestamp_ns, dict(event.metadata)])
    if len(received) == 2:
        break
subscription.cancel()
result["received"] = sorted(received)

try:
    client.Publish(pb.PublishRequest(event=pb.Event(topic="")))
except grpc.RpcError as error:
    result["refused"] = [error.code().name, dict(error.trailing_metadata())["esc-code"]]
try:
    next(iter(client.Subscribe(pb.SubscribeRequest(topic_pattern="a.>.b"))))
except grpc.RpcError as error:
    result["pattern"] = error.code().name

def outgoing():
    for index in range(3000):
        topic = "" if index == 1500 else "stream.test"
        yield pb.Event(id=f"s{index}", topic=topic, payload=str(index).encode(), priority=pb.Priority.MEDIUM)

answers = list(client.Stream(outgoing(), metadata=[("esc-acks", "durable")]))
result["stream"] = {
    "in_order": [answer.id for answer in answers] == [f"s{index}" for index in range(3000)],
    "refused": [answer.id for answer in answers if answer.kind == pb.Kind.REFUSED],
    "offsets": [answers[0].offset, answers[-1].offset],
}
resumed = client.Subscribe(pb.SubscribeRequest(topic_pattern="stream.*", offsets={"transactional/0": 2002}))
result["resumed"] = next(iter(resumed)).offset
resumed.cancel()

health = client.HealthCheck(pb.Empty())
result["health"] = [health.healthy, health.version != "", health.uptime_seconds >= 0]
print(json.dumps(result))
