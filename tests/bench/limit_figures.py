"""How well a limit was kept and used, from the times at which calls arrived. Pure; used by ./dev bench limiter."""

from collections import Counter

SECOND = 1_000_000


def busiest(times, window_us):
    """The most calls that arrived in any window of that length; times ascend."""
    most = tail = 0
    for head, time_us in enumerate(times):
        while times[tail] <= time_us - window_us:
            tail += 1
        most = max(most, head - tail + 1)
    return most


def jain(counts):
    """Jain's index of fairness: 1 where all have the same, 1/n where one has everything."""
    return sum(counts) ** 2 / (len(counts) * sum(count * count for count in counts))


def round_robin(calls, workers):
    """The index of so many calls that go round: what the best can have, since they may not divide evenly."""
    each, more = divmod(calls, workers)
    return jain([each + 1] * more + [each] * (workers - more)) if calls else 1


def uses(arrivals, limit, from_us, seconds):
    """How much of the limit was used in each of so many seconds, one after the other."""
    counts = Counter((time_us - from_us) // SECOND for time_us, _ in arrivals)
    return [counts[second] / limit for second in range(seconds)]


def fairness(arrivals, workers):
    served = Counter(worker for _, worker in arrivals)
    return jain([served[worker] for worker in workers]) if arrivals else 1


def percentile(ascending, share):
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def ideal_us(number, limit, burst):
    """When call `number` (from 0) of a backlog starts at the earliest: a burst at once, then one each interval."""
    return max(0, number - burst + 1) * SECOND / limit


class Figures:
    """arrivals: (microseconds, worker), in any order, all workers with a backlog all the time. workers: their names;
    one without an arrival counts, too."""

    def __init__(self, arrivals, workers, limit, burst, redis_calls):
        self.limit, self.burst = limit, burst
        times = sorted(time_us for time_us, _ in arrivals)
        self.calls = len(times)
        lasted_us = max(1, times[-1] - times[0])
        self.use = max(0, self.calls - burst) / (lasted_us * limit / SECOND)
        self.second, self.tenth = busiest(times, SECOND), busiest(times, SECOND // 10)
        self.redis_calls = redis_calls / self.calls
        self.fairness = fairness(arrivals, workers)
        half = [call for call in arrivals if call[0] > times[0] + lasted_us / 2]
        self.fairness_later, self.fairness_best = fairness(half, workers), round_robin(len(half), len(workers))
        errors = sorted(abs(time_us - times[0] - ideal_us(number, limit, burst))
                        for number, time_us in enumerate(times))
        self.error_p50_ms, self.error_p99_ms = (percentile(errors, share) / 1000 for share in (0.5, 0.99))

    def show(self, name, allowed=None):
        allowed, tenth_allowed = allowed or self.limit + self.burst, self.limit / 10 + self.burst
        print(f"  {name:13} use {100 * self.use:5.1f} %   busiest 1 s {self.second:6} of {allowed:<6.0f}"
              f"{verdict(self.second <= allowed)}   100 ms {self.tenth:5} of {tenth_allowed:<5.0f}   "
              f"Redis {self.redis_calls:6.2f} per call   Jain {self.fairness:.4f}, in the second half "
              f"{self.fairness_later:.4f} of {self.fairness_best:.4f}   "
              f"off schedule p50 {self.error_p50_ms:7.1f} ms, p99 {self.error_p99_ms:7.1f} ms", flush=True)


def verdict(kept):
    return "kept  " if kept else "BROKEN"
