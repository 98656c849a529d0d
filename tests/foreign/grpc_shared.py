"""One connection with a stream that nobody reads, and others. Prints one JSON line."""
import json
import sys

import grpc

sys.path.insert(0, sys.argv[1])
import eventstream_pb2 as pb
from eventstream_pb2_grpc import EventServiceStub

client = EventServiceStub(grpc.insecure_channel(sys.argv[2]))
batch = pb.PublishBatchRequest(
    events=[pb.Event(topic="shared.x", payload=bytes(10_000), priority=pb.Priority.MEDIUM)] * 100,
    acks=pb.Acks.ACCEPTED,
)
for _ in range(10):
    client.PublishBatch(batch)
request = pb.SubscribeRequest(topic_pattern="shared.>", **{"from": "earliest"})
# 10 MB are on their way to a client that takes the 4 MiB of its stream's window and no more.
stalled = client.Subscribe(request)
stalled.initial_metadata()
count = 0
for event in client.Subscribe(request, timeout=30):
    count += 1
    if count == 1000:
        break
live = client.Subscribe(pb.SubscribeRequest(topic_pattern="live.>"), timeout=30)
live.initial_metadata()
seen = []
for number in range(20):
    answer = client.Publish(pb.PublishRequest(event=pb.Event(topic="live.x", payload=b"%d" % number)), timeout=30)
    assert answer.success
    seen.append(int(next(live).payload))
print(json.dumps({"read": count, "live": seen == list(range(20))}))
