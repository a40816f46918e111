#!/usr/bin/env python3
"""What happens to your users' connections, as it happens.  pip install confluent-kafka

    KAFKA_BOOTSTRAP_SERVERS=… python3 events.py [how many, then it ends]
"""
import json
import os
import sys

from confluent_kafka import Consumer

BROKERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
GROUP = os.environ.get("EVENTS_GROUP", "example-events")
TOPIC = os.environ.get("AUTH_EVENTS_TOPIC", "terra.auth.events")


def events():
    """(ce_id, event) in the order of each key. An event counts as done with when the next one is asked for."""
    consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": GROUP, "auto.offset.reset": "earliest",
                         "enable.auto.offset.store": False, "isolation.level": "read_committed"})
    consumer.subscribe([TOPIC])
    try:
        while True:
            record = consumer.poll(1)
            if record is None or record.error():
                continue  # nothing yet, or a fault that the library mends by itself
            yield dict(record.headers())["ce_id"].decode(), json.loads(record.value())
            consumer.store_offsets(record)
    finally:
        consumer.close()


def handle(event):
    who = event["reference_id"] or event["user_id"]
    if event["kind"] == "connected":
        print(f"{who} connected {event['provider']} (user_id {event['user_id']})", flush=True)
    elif event["kind"] == "connect_failed":
        print(f"{who} did not connect {event['provider'] or 'anything'}: {event['reason']}", flush=True)
    else:  # kinds may be added
        print(f"{who}: {event['kind']}", flush=True)


if __name__ == "__main__":
    left = int(sys.argv[1]) if len(sys.argv) > 1 else None
    done = set()  # A real service keeps the ce_id with what it changes, in one transaction of its database.
    for ce_id, event in events():
        if ce_id not in done:
            handle(event)
            done.add(ce_id)
        if left is not None and len(done) >= left:
            break
