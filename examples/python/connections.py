#!/usr/bin/env python3
"""What has this user connected?  pip install confluent-kafka

    KAFKA_BOOTSTRAP_SERVERS=… python3 connections.py patient-0042
"""
import json
import os
import sys
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

BROKERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
TOPIC = os.environ.get("CONNECTIONS_TOPIC", "terra.connections")


class Connections:
    """The latest state of each connection, by user_id: the compacted topic, read from its beginning into memory.

    A real service keeps one for as long as it runs, and calls follow() again and again.
    """

    def __init__(self):
        # No group: every instance reads every partition, and nothing is committed.
        self._consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": f"example-{uuid.uuid4()}",
                                   "enable.auto.commit": False, "enable.partition.eof": True,
                                   "isolation.level": "read_committed"})
        self._states = {}
        self._catch_up()

    def _catch_up(self):
        """Returns at the end of every partition; before that, what is over may still look alive."""
        unread = set(self._consumer.list_topics(TOPIC, 10).topics[TOPIC].partitions)
        if not unread:
            raise LookupError(f"there is no topic {TOPIC}")
        self._consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in unread])
        while unread:
            record = self._consumer.poll(10)
            if record is None:
                raise TimeoutError("Kafka does not answer")
            if record.error() and record.error().code() == KafkaError._PARTITION_EOF:
                unread.discard(record.partition())
            else:
                self._take(record)

    def follow(self, seconds):
        """Takes in what comes within so many seconds."""
        for record in self._consumer.consume(500, seconds):
            self._take(record)

    def _take(self, record):
        if record.error():
            return  # the end of a partition, or a fault that the library mends by itself
        if record.value() is None:
            self._states.pop(record.key(), None)  # a tombstone: disconnected, or replaced by another user_id
        else:
            self._states[record.key()] = json.loads(record.value())

    def of(self, reference_id):
        """Those of one user of yours."""
        return [state for state in self._states.values() if state["reference_id"] == reference_id]


if __name__ == "__main__":
    for state in Connections().of(sys.argv[1]):
        print(f"{state['provider']}: {state['status']} since {state['since']} (user_id {state['user_id']})")
