#!/usr/bin/env python3
"""Asks for an auth link and waits for it.  pip install confluent-kafka

    KAFKA_BOOTSTRAP_SERVERS=… python3 request_link.py patient-0042
"""
import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

BROKERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
REPLIES = os.environ.get("REPLY_TOPIC", "terra.connect.replies")


def follow(topic):
    """A consumer of every partition from its end. A real service keeps one, with a group of its own per instance."""
    consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": f"example-{uuid.uuid4()}", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    ends = [TopicPartition(topic, number, consumer.get_watermark_offsets(TopicPartition(topic, number))[1])
            for number in partitions]
    consumer.assign(ends)
    return consumer


def request_link(reference_id, timeout=30, **wishes):
    consumer, correlation = follow(REPLIES), uuid.uuid4().bytes
    producer = Producer({"bootstrap.servers": BROKERS})
    producer.produce("terra.connect.requests", key=reference_id,
                     value=json.dumps({"reference_id": reference_id, "timeout_seconds": timeout, **wishes}),
                     headers={"correlation-id": correlation, "reply-to": REPLIES})
    producer.flush()
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            record = consumer.poll(0.1)
            if record and not record.error() and dict(record.headers() or []).get("correlation-id") == correlation:
                return json.loads(record.value())
        raise TimeoutError("no reply; is a worker running?")
    finally:
        consumer.close()


if __name__ == "__main__":
    reply = request_link(sys.argv[1])
    if reply["status"] != "success":
        sys.exit(f"{reply['error']['code']}: {reply['error']['message']}")
    print(reply["link"])
