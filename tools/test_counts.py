#!/usr/bin/python3
"""Prints, from ctest's JUnit file, one line per test program: what it counted, by its own closing lines."""

import re
import sys
import xml.etree.ElementTree

PYTEST_CLOSING = re.compile(r"^=+ (.*\d+ (?:passed|failed|skipped|error).*) in [\d.]+s", re.MULTILINE)
PYTEST_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")
CMOCKA_COUNT = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] (\d+) test\(s\)", re.MULTILINE)


def counts_of(output):
    """{"passed": n, "failed": n, "skipped": n}, or None where the program counts nothing itself."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    closings = PYTEST_CLOSING.findall(output)
    if closings:
        for number, word in PYTEST_COUNT.findall(closings[-1]):
            counts["failed" if word == "error" else word] += int(number)
        return counts
    found = CMOCKA_COUNT.findall(output)
    for word, number in found:
        counts[word.lower()] += int(number)
    return counts if found else None


def main():
    cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    total = {"passed": 0, "failed": 0, "skipped": 0}
    print(f"\n{'program':<32}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for case in sorted(cases, key=lambda case: case.get("name")):
        counts = counts_of(case.findtext("system-out") or "")
        remark = ""
        if counts is None:
            ran, skipped = case.get("status") == "run", case.get("status") in ("notrun", "disabled")
            counts = {"passed": int(ran), "failed": int(not ran and not skipped), "skipped": int(skipped)}
            remark = "" if ran else "  ended without counting"
        elif case.get("status") == "fail" and not counts["failed"]:
            remark = "  failed all the same"
        for word, number in counts.items():
            total[word] += number
        print(f"{case.get('name'):<32}{counts['passed']:>8}{counts['failed']:>8}{counts['skipped']:>9}"
            f"{float(case.get('time', 0)):>9.1f}{remark}")
    print(f"{'in all':<32}{total['passed']:>8}{total['failed']:>8}{total['skipped']:>9}\n")


if __name__ == "__main__":
    main()
