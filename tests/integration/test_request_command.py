"""terra-connect request: the real command, a real worker, the simulated Terra."""

import json
import signal
import subprocess
import time

import pytest

from local_process import eventually, spawn
from support.program import binary, check_sanitizers, program_environment, run_program
from support.sandbox import Sandbox
from support.worker import Worker

OK, FAILED, USAGE, NO_LINK, SILENCE, CONFIG = 0, 1, 2, 3, 4, 78
NOBODY_READS = "terra.connect.requests.unread"


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    sandbox.create_topic(NOBODY_READS)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def served(sandbox):
    """What the command needs to be told to reach a worker that runs."""
    worker = Worker({**sandbox.settings, "TERRA_RATE_LIMIT": "0", "TERRA_ATTEMPTS_MAX": "2"})
    settings = kafka_settings(sandbox)
    # The embedded Kafka's first assignment takes seconds.
    assert request(settings, "--reference-id", "warm-up").returncode == OK
    yield settings
    worker.stop()


def kafka_settings(sandbox, **more):
    """No Terra key among them."""
    return {"KAFKA_BOOTSTRAP_SERVERS": sandbox.bootstrap, "KAFKA_FETCH_WAIT_MAX_MS": 10, **more}


def request(settings, *arguments, stdin=None):
    return run_program("request", *arguments, settings=settings, stdin=stdin)


def lines_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


# One request


def test_prints_the_link_and_nothing_else(served):
    result = request(served, "--reference-id", "u1")
    assert (result.returncode, result.stderr) == (OK, "")
    link = result.stdout
    assert link.startswith("https://widget.sandbox.invalid/session/")
    assert link.endswith("\n") and link.count("\n") == 1 and " " not in link


def test_direct_provider(served, sandbox):
    result = request(served, "--reference-id", "u-direct", "--provider", "garmin",
        "--success-url", "https://app.example.org/ok", "--auth_failure_redirect_url", "https://app.example.org/no")
    assert (result.returncode, result.stderr) == (OK, "")
    assert result.stdout.startswith("https://widget.sandbox.invalid/oauth/GARMIN")
    call = sandbox.calls(reference_id="u-direct")[-1]
    assert call["endpoint"] == "authenticate_user"


def test_options_reach_the_worker(served):
    result = request(served, "--reference-id", "u-options", "--request-id", "mine", "--providers", "GARMIN,OURA",
        "--language", "zh-CN", "--json")
    reply = json.loads(result.stdout)
    assert result.returncode == OK and result.stdout.count("\n") == 1
    assert reply["status"] == "success" and reply["request_id"] == "mine" and reply["warnings"] == []
    again = request(served, "--reference-id", "u-options", "--request-id", "mine", "--providers", "GARMIN,OURA",
        "--language", "zh-CN")
    assert again.stdout == reply["link"] + "\n"  # the same request: the same link


@pytest.mark.parametrize("code", ["rejected_by_terra", "endpoint_retired", "user_limit_reached"])
def test_an_error_is_a_sentence_and_an_exit_code(served, code):
    result = request(served, "--reference-id", f"sandbox-{code}-1")
    assert (result.returncode, result.stdout) == (NO_LINK, "")
    assert f"no link, {code}: " in result.stderr and result.stderr.count("\n") == 1
    assert "will not help" in result.stderr


def test_an_error_that_may_pass_says_so(served):
    result = request(served, "--reference-id", "sandbox-terra_unavailable-1", "--timeout", "5")
    assert (result.returncode, result.stdout) == (NO_LINK, "")
    assert "terra_unavailable" in result.stderr and "may be sent again" in result.stderr


def test_the_worker_is_told_the_timeout(served):
    began = time.monotonic()
    result = request(served, "--reference-id", "sandbox-deadline_exceeded-1", "--timeout", "2", "--json")
    assert result.returncode == NO_LINK
    assert json.loads(result.stdout)["error"]["code"] == "deadline_exceeded"
    assert 1.5 < time.monotonic() - began < 10


def test_a_refused_request(served):
    result = request(served, "--reference-id", "u1", "--environment", "nowhere")
    assert (result.returncode, result.stdout) == (NO_LINK, "")
    assert "unknown_environment" in result.stderr


def test_silence(sandbox):
    settings = kafka_settings(sandbox, CONNECT_REQUESTS_TOPIC=NOBODY_READS)
    began = time.monotonic()
    result = request(settings, "--reference-id", "u1", "--timeout", "1")
    assert (result.returncode, result.stdout) == (SILENCE, "")
    assert "no reply within 1 s" in result.stderr and NOBODY_READS in result.stderr
    assert time.monotonic() - began < 10

    result = request(settings, "--reference-id", "u1", "--timeout", "1", "--json")
    assert (result.returncode, result.stderr) == (SILENCE, "")
    reply = json.loads(result.stdout)
    assert reply["status"] == "error" and reply["error"]["code"] == "no_reply" and reply["reference_id"] == "u1"


def test_kafka_out_of_reach(sandbox):
    began = time.monotonic()
    with_no_listener = sandbox.bootstrap.rsplit(":", 1)[0] + ":1"
    result = request({"KAFKA_BOOTSTRAP_SERVERS": with_no_listener}, "--reference-id", "u1", "--timeout", "2")
    assert (result.returncode, result.stdout) == (FAILED, "")
    assert "Kafka cannot be used" in result.stderr and with_no_listener in result.stderr
    assert time.monotonic() - began < 10


def test_settings_that_cannot_be_used(sandbox):
    assert request({}, "--reference-id", "u1").returncode == CONFIG
    # Refused by librdkafka, by our reader, and by our producer, which comes when the reader is ready.
    for wrong in [{"KAFKA_NO_SUCH_PROPERTY": "1"}, {"KAFKA_LINGER_MS": "soon"}, {"KAFKA_ENABLE_PARTITION_EOF": "false"},
                  {"KAFKA_DELIVERY_REPORT_ONLY_ERROR": "true"}]:
        result = request(kafka_settings(sandbox, **wrong), "--reference-id", "u1")
        assert (result.returncode, result.stdout) == (CONFIG, ""), result
        assert "cannot be used" in result.stderr


@pytest.mark.parametrize("arguments", [
    [], ["--reference-id"], ["--reference-id", ""], ["--reference-id", "u1", "more"], ["--reference-id", "u1", "-"],
    ["--request-id", "r1", "-"], ["-", "-"], ["--nonsense"], ["-x"], ["--json=1", "-"],
    ["--reference-id", "u1", "--timeout", "0"], ["--reference-id", "u1", "--timeout", "3601"],
    ["--reference-id", "u1", "--timeout", "soon"], ["--reference-id", "u1", "--provider", "A", "--providers", "B,C"],
    ["--reference-id", "u1", "--providers", ""],
])
def test_wrong_usage(arguments):
    result = request({}, *arguments)
    assert (result.returncode, result.stdout) == (USAGE, "")
    assert result.stderr.startswith("terra-connect request: ") and "--help" in result.stderr


def test_help_names_the_exit_codes():
    result = request({}, "--help")
    assert (result.returncode, result.stderr) == (OK, "")
    for code in (OK, FAILED, USAGE, NO_LINK, SILENCE, CONFIG):
        assert f"\n  {code:2}  " in result.stdout


# Many requests


def test_many_lines_with_bad_ones_in_between(served):
    too_long = '{"reference_id": "' + "x" * 65536 + '"}'
    result = request(served, "-", stdin="\n".join([
        '{"reference_id": "m1"}',
        'this is no JSON',
        '',
        '{"reference_id": "m2", "provider": "oura"}',
        '[{"reference_id": "m3"}]',
        too_long,
        '{"reference_id": "sandbox-user_limit_reached-m4"}',
        '{"reference_id": "m5", "language": "fr"}']))  # and no newline at the end
    assert (result.returncode, result.stderr) == (NO_LINK, "")
    replies = lines_of(result)
    by_reference = {reply["reference_id"]: reply for reply in replies if reply["reference_id"]}
    assert sorted(by_reference) == ["m1", "m2", "m5", "sandbox-user_limit_reached-m4"]
    assert "/oauth/OURA" in by_reference["m2"]["link"]
    assert by_reference["sandbox-user_limit_reached-m4"]["error"]["code"] == "user_limit_reached"
    refused = {reply["line"]: reply["error"]["code"] for reply in replies if "line" in reply}
    assert refused == {2: "invalid_request", 5: "invalid_request", 6: "invalid_request"}
    assert len(replies) == 7


def test_options_fill_in_what_a_line_leaves_out(served):
    result = request(served, "--provider", "GARMIN", "-", stdin='{"reference_id": "f1"}\n'
        '{"reference_id": "f2", "provider": "OURA"}\n{"reference_id": "f3", "providers": ["FITBIT"]}\n')
    assert result.returncode == OK
    links = {reply["reference_id"]: reply["link"] for reply in lines_of(result)}
    assert "/oauth/GARMIN" in links["f1"] and "/oauth/OURA" in links["f2"] and "/session/" in links["f3"]


def test_more_than_are_in_flight_at_once_from_a_file(served, tmp_path):
    path = tmp_path / "requests"
    path.write_text("".join(f'{{"reference_id": "many-{i}"}}\n' for i in range(2500)))
    with open(path) as lines:
        process = spawn([binary("terra-connect"), "request", "--timeout", "120", "-"], env=program_environment(served),
            text=True, stdin=lines, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stdout, stderr = process.communicate(timeout=150)
    check_sanitizers("the command", process.returncode, stderr)
    assert (process.returncode, stderr) == (OK, "")
    replies = [json.loads(line) for line in stdout.splitlines()]
    assert sorted(reply["reference_id"] for reply in replies) == sorted(f"many-{i}" for i in range(2500))
    assert len({reply["link"] for reply in replies}) == 2500


def test_no_lines_at_all(served):
    result = request(served, "-", stdin="")
    assert (result.returncode, result.stdout, result.stderr) == (OK, "", "")
    assert request(served, "-").returncode == OK  # /dev/null


def test_silence_for_some(sandbox):
    result = request(kafka_settings(sandbox, CONNECT_REQUESTS_TOPIC=NOBODY_READS), "--timeout", "30", "-",
        stdin='{"reference_id": "s1", "timeout_seconds": 0.5}\nnot JSON\n{"reference_id": "s2", "timeout_seconds": 1}\n')
    assert (result.returncode, result.stderr) == (SILENCE, "")
    bad, first, second = lines_of(result)
    assert bad["line"] == 2
    assert [(reply["line"], reply["reference_id"], reply["error"]["code"]) for reply in (first, second)] == \
        [(1, "s1", "no_reply"), (3, "s2", "no_reply")]
    assert "not by a worker" in first["error"]["message"] and first["request_id"]


class Dialogue:
    """The command with standard input and output that stay open."""

    def __init__(self, settings, *arguments):
        self.process = spawn([binary("terra-connect"), "request", *arguments, "-"], env=program_environment(settings),
            text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, reference_id):
        self.process.stdin.write(json.dumps({"reference_id": reference_id}) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def end(self):
        """Its exit code and what it said on stderr."""
        code = self.process.wait(30)
        stderr = self.process.stderr.read()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        check_sanitizers("the command", code, stderr)
        return code, stderr


def test_a_reply_comes_while_more_lines_are_awaited(served):
    dialogue = Dialogue(served)
    for i in range(3):
        dialogue.say(f"d{i}")
        assert dialogue.hear()["reference_id"] == f"d{i}"
    dialogue.process.stdin.close()
    assert dialogue.end() == (OK, "")


def test_interrupted_with_what_has_come(served):
    dialogue = Dialogue(served)
    dialogue.say("i1")
    assert dialogue.hear()["reference_id"] == "i1"
    dialogue.say("sandbox-slow-20000-i2")
    dialogue.process.send_signal(signal.SIGINT)
    assert dialogue.process.stdout.read() == ""
    assert dialogue.end() == (SILENCE, "")


def test_one_request_interrupted(sandbox):
    settings = kafka_settings(sandbox, CONNECT_REQUESTS_TOPIC=NOBODY_READS)
    process = spawn([binary("terra-connect"), "request", "--reference-id", "u1"], env=program_environment(settings),
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Before it listens to signals it would simply die of it; bit 1 is SIGINT.
    eventually(lambda: _catches_sigint(process.pid), message="the command listens to SIGINT")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    check_sanitizers("the command", process.returncode, stderr)
    assert (process.returncode, stdout) == (SILENCE, "")
    assert "interrupted" in stderr


def _catches_sigint(pid):
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) & (1 << (signal.SIGINT - 1))


def test_nobody_reads_the_output_any_more(served):
    dialogue = Dialogue(served)
    dialogue.say("e1")
    assert dialogue.hear()["reference_id"] == "e1"
    dialogue.process.stdout.close()
    dialogue.say("e2")
    assert dialogue.end() == (FAILED, "")


def test_standard_input_that_is_not_open(served):
    process = spawn(["sh", "-c", f"exec '{binary('terra-connect')}' request - <&-"], env=program_environment(served),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (OK, "", "")
