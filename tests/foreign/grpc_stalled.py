"""Streams that nobody reads, and one that is read, each on a connection of its own. Prints one JSON line."""
import json
import sys

import grpc

sys.path.insert(0, sys.argv[1])
import eventstream_pb2 as pb
from eventstream_pb2_grpc import EventServiceStub


def connect():
    return EventServiceStub(grpc.insecure_channel(sys.argv[2], options=[("grpc.use_local_subchannel_pool", 1)]))


def memory():
    with open(f"/proc/{sys.argv[3]}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


request = pb.SubscribeRequest(topic_pattern="big.>", **{"from": "earliest"})
stalled = [connect().Subscribe(request) for _ in range(20)]
for subscription in stalled:
    subscription.initial_metadata()
client = connect()
batch = pb.PublishBatchRequest(
    events=[pb.Event(topic="big.x", payload=bytes(10_000), priority=pb.Priority.MEDIUM)] * 100, acks=pb.Acks.ACCEPTED
)
for _ in range(5):
    client.PublishBatch(batch)
before = memory()
for _ in range(60):
    client.PublishBatch(batch)
count = 0
for event in connect().Subscribe(request):
    count += 1
    if count == 6500:
        break
print(json.dumps({"read": count, "grown_mib": (memory() - before) // 1024}))
