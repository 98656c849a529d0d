"""A handler in Python: scores payments and has somebody look at the suspicious ones.

handlers: { score: { command: [python3, config/examples/handlers/score.py], topics: "payments.>" } }
"""
import json
import sys

for line in sys.stdin:
    event = json.loads(line)
    answer = {"id": event["id"]}
    try:
        payment = json.loads(event["payload"])
        score = min(100, round(payment["amount"] / 50))
    except (ValueError, KeyError, TypeError) as error:
        answer.update(outcome="fail", reason=f"no payment: {error!r}")
    else:
        answer["publish"] = [{"topic": "scores", "payload": {"payment": payment, "score": score}}]
        if score > 80:
            answer.update(outcome="alert", severity="WARNING", message=f"score {score}")
    # An answer that stays in a buffer is none.
    print(json.dumps(answer), flush=True)
