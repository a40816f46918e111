"""What became of connect requests on a real broker: who was answered, when, with which link, and what was committed.

Times are the broker's own (LogAppendTime), and the commits are read from the topic in which the broker keeps them, so
that nothing is sampled: every offset that was ever committed is held against the replies that lay in the log by then.
"""

import bisect
import math
import struct
from collections import defaultdict
from dataclasses import dataclass, field

from .topics import connect_topics, create_topics, read_to_end

COMMITS_TOPIC = "__consumer_offsets"
ON_ITS_WAY_MS = 5000
RESENT_MS = 2000
BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}


def ledger_topics(bootstrap, partitions=4):
    """New topics whose records carry the broker's time, as a ledger needs them."""
    topics = connect_topics()
    create_topics(bootstrap, topics.names, partitions, BROKER_TIME)
    return topics


@dataclass(frozen=True)
class Answer:
    time_ms: int
    status: str
    link: str  # None: an error
    code: str  # None: a success


@dataclass
class Commit:
    time_ms: int
    partition: int
    offset: int


@dataclass
class Ledger:
    requests: dict = field(default_factory=dict)  # (partition, offset): Record
    answers: dict = field(default_factory=lambda: defaultdict(list))  # (partition, offset): [Answer, …], oldest first
    commits: list = field(default_factory=list)  # oldest first

    @classmethod
    def read(cls, bootstrap, topics):
        """All there is now. Requests must not carry a correlation id: replies are told apart by coordinates."""
        ledger = cls()
        for record in read_to_end(bootstrap, topics.requests):
            ledger.requests[record.partition, record.offset] = record
        for record in read_to_end(bootstrap, topics.replies):
            reply = record.json
            ledger.answers[coordinates(reply["request_id"])].append(Answer(
                record.timestamp_ms, reply["status"], reply.get("link"), (reply.get("error") or {}).get("code")))
        for answers in ledger.answers.values():
            answers.sort(key=lambda answer: answer.time_ms)
        ledger.commits = read_commits(bootstrap, topics.group, topics.requests)
        return ledger

    @property
    def unanswered(self):
        """Requests without any success."""
        return [at for at in self.requests if not any(answer.link for answer in self.answers.get(at, ()))]

    @property
    def failures(self):
        return [(at, answer) for at, answers in self.answers.items() for answer in answers if not answer.link]

    @property
    def two_links(self):
        links = {at: {answer.link for answer in answers if answer.link} for at, answers in self.answers.items()}
        return {at: different for at, different in links.items() if len(different) > 1}

    @property
    def repeats(self):
        """How many replies there are beyond one for each request."""
        return sum(len(answers) - 1 for answers in self.answers.values())

    @property
    def early_commits(self):
        """Commits past a request that had no answer in the log at that time, with that request."""
        places = defaultdict(list)  # by partition: (offset, when every request up to it had been answered, the last)
        for partition, offset in sorted(self.requests):
            first = min((answer.time_ms for answer in self.answers.get((partition, offset), ())), default=math.inf)
            so_far = places[partition]
            latest = max((first, offset), so_far[-1][1:] if so_far else (0, 0))
            so_far.append((offset, *latest))
        early = []
        for commit in self.commits:
            before = bisect.bisect_left(places[commit.partition], (commit.offset,)) - 1
            if before >= 0 and places[commit.partition][before][1] > commit.time_ms:
                early.append((commit, places[commit.partition][before]))
        return early

    @property
    def rewound_commits(self):
        """Commits below an earlier one of their partition that stay: a former owner's, or work done again for nothing.

        Not the library's own: commits that piled up while the coordinator was away it sends again by its retry timer,
        beside newer ones, and those stand again at once.
        """
        highest, rewound = {}, []
        for number, commit in enumerate(self.commits):
            top = highest.get(commit.partition, 0)
            if commit.offset < top and not self._stands_again(number, top):
                rewound.append(commit)
            highest[commit.partition] = max(commit.offset, top)
        return rewound

    def _stands_again(self, number, offset):
        """A later commit of the same partition is not below that offset, within RESENT_MS."""
        commit = self.commits[number]
        return any(later.partition == commit.partition and later.offset >= offset
            for later in self.commits[number + 1:] if later.time_ms <= commit.time_ms + RESENT_MS)

    @property
    def answered_after_commit(self):
        """Repeats of what had been committed for longer than a job can still be on its way."""
        late = []
        commits = defaultdict(list)
        for commit in self.commits:
            commits[commit.partition].append(commit)
        for at, answers in self.answers.items():
            done = next((commit.time_ms for commit in commits[at[0]] if commit.offset > at[1]), math.inf) \
                if len(answers) > 1 else math.inf
            late += [(at, answer) for answer in answers[1:] if answer.time_ms > done + ON_ITS_WAY_MS]
        return late

    @property
    def committed(self):
        """{partition: offset} as it stands."""
        return {commit.partition: commit.offset for commit in self.commits}

    def first_answers(self, partitions=None):
        """Times of the first answers to the requests of these partitions (default: all), in order."""
        return sorted(answers[0].time_ms for (partition, _), answers in self.answers.items()
            if partitions is None or partition in partitions)

    def slowest_ms(self, partitions=None):
        """From a request in the log to its first answer in the log, at worst."""
        return max(self.answers[at][0].time_ms - request.timestamp_ms for at, request in self.requests.items()
            if partitions is None or at[0] in partitions)

    def check(self):
        """What holds in whatever storm: everything is answered, with one link, and no commit ran ahead."""
        problems = {
            "requests without a link": self.unanswered,
            "requests with two links": self.two_links,
            "commits past an unanswered request": self.early_commits,
            "commits below an earlier one": self.rewound_commits,
            "repeats of what was committed": self.answered_after_commit,
        }
        found = {what: found for what, found in problems.items() if found}
        assert not found, "; ".join(f"{len(those)} {what}, such as {_some(those)}" for what, those in found.items())
        assert self.commits, "nothing was committed"
        strangers = set(self.answers) - set(self.requests)
        assert not strangers, f"replies to nothing that was asked: {_some(strangers)}"


def _some(things):
    items = list(things.items()) if isinstance(things, dict) else list(things)
    return items[:3]


def coordinates(request_id):
    """(partition, offset) of the request, out of the id that a worker makes of them."""
    _, partition, offset = request_id.rsplit("-", 2)
    return int(partition), int(offset)


def read_commits(bootstrap, group, topic):
    """Every commit of the group for the topic that the broker has in its log, oldest first."""
    commits = []
    for record in read_to_end(bootstrap, COMMITS_TOPIC):
        place = _commit_key(record.key)
        if place and place[:2] == (group, topic) and record.value:
            # version, offset, and then what differs from version to version
            offset = struct.unpack_from(">hq", record.value)[1]
            commits.append(Commit(record.timestamp_ms, place[2], offset))
    return commits  # one group is one partition of that topic, so this is their order


def _commit_key(key):
    """(group, topic, partition), or None for a record of another kind."""
    if not key or struct.unpack_from(">h", key)[0] > 1:
        return None
    texts, position = [], 2
    for _ in range(2):
        size = struct.unpack_from(">h", key, position)[0]
        texts.append(key[position + 2:position + 2 + size].decode())
        position += 2 + size
    return texts[0], texts[1], struct.unpack_from(">i", key, position)[0]
