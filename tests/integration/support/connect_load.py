"""A steady stream of connect requests, and a look at the replies as they come."""

import threading
import time

from .connect_ledger import coordinates
from .topics import TopicReader, TopicWriter

LOOK_EVERY = 0.02


class ConnectLoad:
    """Sends `count` requests at `rate` per second, evenly over the partitions, from a thread; until stop() at most.

    Each has a reference id of its own, r0, r1, …; what is sent in doubt is not sent twice.
    """

    def __init__(self, bootstrap, topics, count, rate, partitions=4):
        self._topics = topics
        self._count = count
        self._rate = rate
        self._partitions = partitions
        self._ending = threading.Event()
        self._failure = None
        self.sent = 0
        # One at a time: with several in flight librdkafka 2.0.2's producer can end in a fatal sequence error when its
        # broker dies.
        self._writer = TopicWriter(bootstrap, enable_idempotence=True, reconnect_backoff_max_ms=500,
            max_in_flight_requests_per_connection=1)
        self._replies = TopicReader(bootstrap, topics.replies, on_record=self._note)
        self._answered = set()  # only the reader's thread adds to it
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def _note(self, record):
        self._answered.add(coordinates(record.json["request_id"]))

    def _send_all(self):
        try:
            begin = time.monotonic()
            while self.sent < self._count and not self._ending.is_set():
                due = min(self._count, int((time.monotonic() - begin) * self._rate) + 1)
                while self.sent < due:
                    self._writer.post(self._topics.requests, {"reference_id": f"r{self.sent}"},
                        key=f"r{self.sent}", partition=self.sent % self._partitions)
                    self.sent += 1
                self._ending.wait(LOOK_EVERY)
            self._writer.flush(120)
        except Exception as failure:  # it is raised again where somebody waits
            self._failure = failure

    @property
    def sending(self):
        return self._thread.is_alive()

    @property
    def answered(self):
        """How many different requests have a reply."""
        return len(self._answered)

    def answered_in(self, partition):
        return sum(1 for at in self._answered.copy() if at[0] == partition)

    def stop(self):
        """Sends no more; what has been sent is acknowledged on return."""
        self._ending.set()
        self.wait_sent()

    def wait_sent(self, timeout=300):
        self._thread.join(timeout)
        if self._failure:
            raise self._failure
        assert not self._thread.is_alive(), f"requests could not be sent within {timeout} s"

    def wait_answered(self, count=None, timeout=60):
        """Until that many requests have a reply (default: all that were sent)."""
        count = self.sent if count is None else count
        deadline = time.monotonic() + timeout
        while self.answered < count:
            assert time.monotonic() < deadline, f"{self.answered} of {count} requests answered within {timeout} s"
            time.sleep(LOOK_EVERY)

    def close(self):
        self._ending.set()
        self._thread.join()
        self._replies.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
