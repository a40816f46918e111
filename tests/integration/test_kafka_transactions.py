"""Requests written in transactions, on a real Kafka: only what was committed is served, gaps in the offsets or not."""

from confluent_kafka import Producer

from support.topics import LOG_LEVEL


class Transactions:
    """Requests with the ids r0, r1, … over all partitions in turn, a few in each transaction."""

    def __init__(self, fleet):
        self._fleet = fleet
        self._number = 0
        self.committed = set()
        self._producer = Producer({"bootstrap.servers": fleet.bootstrap, "log_level": LOG_LEVEL,
            "transactional.id": fleet.topics.requests})
        self._producer.init_transactions(30)

    def write(self, count, commit):
        self._producer.begin_transaction()
        numbers = range(self._number, self._number + count)
        self._number += count
        for number in numbers:
            self._producer.produce(self._fleet.topics.requests, f'{{"reference_id": "r{number}"}}',
                partition=number % self._fleet.partitions)
        if commit:
            self._producer.commit_transaction(30)
            self.committed.update(f"r{number}" for number in numbers)
        else:
            self._producer.flush(30)  # so that they lie in the log before they are taken back
            self._producer.abort_transaction(30)


def test_only_committed_requests_are_served(make_fleet, read_topic):
    fleet = make_fleet()
    transactions = Transactions(fleet)
    transactions.write(20, commit=False)  # the log begins with what never was
    fleet.start()
    for count, commit in ((4, True), (10, False), (1, True), (1, False), (30, True), (3, True), (50, False)):
        transactions.write(count, commit)
    read_topic(fleet.bootstrap, fleet.topics.replies).wait_for(count=len(transactions.committed))
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert ledger.repeats == 0
    assert {ledger.requests[at].reference_id for at in ledger.answers} == transactions.committed
    # Nothing that anybody could read is left; behind it lie an aborted transaction and its end mark.
    for partition, offset in ledger.requests:
        assert ledger.committed[partition] > offset


def test_requests_after_a_gap_are_served_by_the_next_worker(make_fleet, read_topic):
    """The next owner begins behind the offset of an end mark, where no record is."""
    fleet = make_fleet()
    transactions = Transactions(fleet)
    first = fleet.start()
    transactions.write(40, commit=True)
    replies = read_topic(fleet.bootstrap, fleet.topics.replies)
    replies.wait_for(count=40)
    fleet.stop(first)
    transactions.write(8, commit=False)
    transactions.write(8, commit=True)
    fleet.start()
    replies.wait_for(count=48)
    fleet.stop_all()
    ledger = fleet.ledger()
    ledger.check()
    assert ledger.repeats == 0
    assert not ledger.failures
