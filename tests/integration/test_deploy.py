"""What is deployed says what the program says: manual, completion, installed files, manifests."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from support.program import binary, run_program

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
SECOND = {"s": 1, "m": 60, "h": 3600}
YAML_FILES = sorted(path for path in DOCKER.rglob("*.yaml"))


def seconds(text):
    return int(text[:-1]) * SECOND[text[-1]]


def read_yaml(path):
    return yaml.safe_load(path.read_text())


def environment_file(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def settings():
    """{name: default} of every setting."""
    table = json.loads(run_program("config", "--json", settings={}).stdout)["settings"]
    return {setting["name"]: setting["default"] for setting in table}


@pytest.fixture(scope="module")
def commands():
    return re.findall(r"^  ([a-z][a-z-]*) +\S", run_program("--help", settings={}).stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """The folder with the man page and the completion, made from the program under test."""
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run(["/usr/bin/python3", "-B", ROOT / "tools" / "make_manual.py", binary("terra-connect"), folder],
        check=True)
    yield folder
    shutil.rmtree(folder)


def address(worker):
    return worker.wait_for_log("metrics and health are served")["address"]


# ---- the program about itself ----


def test_version_names_the_libraries():
    lines = run_program("--version", settings={}).stdout.splitlines()
    assert re.fullmatch(r"terra-connect \d+\.\d+\.\d+", lines[0])
    versions = dict(line.split(" ", 1) for line in lines if not line.startswith(("built", "commit")))
    for library in ("librdkafka", "libcurl", "hiredis", "libuv", "libmicrohttpd", "cJSON", "OpenSSL"):
        assert re.match(r"\d+\.\d+", versions[library]), library


def test_manual_names_every_command_and_setting(manual, commands, settings):
    page = (manual / "terra-connect.1").read_text().replace("\\-", "-")
    assert "worker" in commands and "TERRA_RATE_LIMIT" in settings
    for command in commands:
        assert f".SS {command} " in page, command
    for name, default in settings.items():
        assert f".B {name}\n" in page, name
        assert default in page, f"{name}: {default}"


def complete(manual, *words):
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _terra_connect; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-euc", script, "bash", manual / "terra-connect.bash", "terra-connect", *words],
        stdout=subprocess.PIPE, text=True, check=True)
    return set(done.stdout.split())


def test_completion_knows_commands_and_options(manual, commands):
    assert complete(manual, "") == {*commands, "--help", "--version"}
    assert complete(manual, "work") == {"worker"}
    assert complete(manual, "worker", "--flow", "con") == {"connect", "connections"}
    for command in commands:
        offered = complete(manual, command, "--")
        help_text = run_program(command, "--help", settings={}).stdout
        assert offered == set(re.findall(r"^ +(--[a-z-]+)", help_text, re.MULTILINE)), command


# ---- terra-connect health ----


def test_health_asks_the_worker(sandbox, start_worker):
    worker = start_worker(sandbox.settings)
    here = {"HTTP_LISTEN": address(worker)}
    assert run_program("health", settings=here).returncode == 0
    worker.wait_for_log("partition assigned")
    assert run_program("health", "--ready", settings=here).returncode == 0
    everywhere = {"HTTP_LISTEN": "0.0.0.0:" + here["HTTP_LISTEN"].rsplit(":", 1)[1]}
    assert run_program("health", settings=everywhere).returncode == 0
    worker.stop()
    gone = run_program("health", settings=here)
    assert gone.returncode == 1 and "no answer" in gone.stderr


def test_health_tells_alive_from_ready(start_worker):
    # Nobody is at the brokers' address, so no group is joined.
    worker = start_worker({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TERRA_DEV_ID": "dev", "TERRA_API_KEY": "a-key"})
    here = {"HTTP_LISTEN": address(worker)}
    assert run_program("health", settings=here).returncode == 0
    unready = run_program("health", "--ready", settings=here)
    assert unready.returncode == 1 and "503" in unready.stderr


@pytest.mark.parametrize("listen", ["", "127.0.0.1:0", "nonsense"])
def test_health_needs_an_address(listen):
    done = run_program("health", settings={"HTTP_LISTEN": listen})
    assert done.returncode == 78 and "HTTP_LISTEN" in done.stderr


# ---- installed files ----


def test_install_layout(tmp_path):
    build = binary("terra-connect").parents[1]
    for component in ("worker", "sandbox"):
        subprocess.run(["cmake", "--install", build, "--prefix", tmp_path, "--component", component], check=True,
            stdout=subprocess.DEVNULL)
    for path in ("bin/terra-connect", "bin/terra-sandbox", "share/man/man1/terra-connect.1",
            "share/bash-completion/completions/terra-connect", "lib/systemd/system/terra-connect.service",
            "share/terra-connect/schemas/asyncapi.yaml", "share/terra-connect/prometheus/alerts.yaml",
            "share/terra-connect/grafana/dashboards/requests.json", "share/doc/terra-connect/README.md",
            "share/doc/terra-connect/LICENSE", "share/doc/terra-connect/SECURITY.md",
            "share/doc/terra-connect/terra-connect.env", "share/doc/terra-connect/docs/operations.md"):
        assert (tmp_path / path).is_file(), path
    assert (tmp_path / "bin/terra-connect").stat().st_mode & 0o111
    unit = (tmp_path / "lib/systemd/system/terra-connect.service").read_text()
    assert re.search(r"^ExecStart=/\S+/bin/terra-connect worker$", unit, re.MULTILINE)
    assert not re.search(r"^(?!#).*@[A-Z_]+@", unit, re.MULTILINE)


# ---- settings in manifests ----


def worker_environment(name):
    """What the worker is given there, variables of Compose replaced by their defaults."""
    if name == "compose":
        given = read_yaml(DOCKER / "compose.yaml")["services"]["worker"]["environment"]
        return {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in given.items()}
    if name == "systemd":
        return environment_file(ROOT / "systemd" / "terra-connect.env")
    container = read_yaml(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    return {**environment_file(KUBERNETES / "base" / "settings.env"),
        **{variable["name"]: variable["value"] for variable in container["env"]}}


@pytest.mark.parametrize("name", ["compose", "systemd", "kubernetes"])
def test_manifests_name_settings_that_exist(name, settings, tmp_path):
    given = worker_environment(name)
    key = tmp_path / "key"
    key.write_text("a-key")
    for variable in given:
        assert variable.removesuffix("_FILE") in settings, variable
        if variable.endswith("_FILE") and variable not in settings:
            given[variable] = key
    done = run_program("config", "--json", settings=given)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    sources = {setting["name"]: setting["source"] for setting in json.loads(done.stdout)["settings"]}
    assert all(sources[variable.removesuffix("_FILE")] in ("environment", "file") for variable in given)


def test_sandbox_file_fills_in_what_compose_asks_for():
    asked = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    given = environment_file(DOCKER / "sandbox.env")
    assert set(given) - {"COMPOSE_PROFILES"} <= asked
    assert (DOCKER / given["TERRA_API_KEY_PATH"]).read_text() == "sandbox-key\n"
    assert set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text())) <= set(given)


def test_nobody_is_killed_before_the_worker_is_done(settings):
    least = seconds(settings["SHUTDOWN_TIMEOUT"]) + 5
    compose = read_yaml(DOCKER / "compose.yaml")["services"]["worker"]
    assert seconds(compose["stop_grace_period"]) >= least
    pod = read_yaml(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= least + pre_stop
    unit = (ROOT / "systemd" / "terra-connect.service.in").read_text()
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE).group(1)) >= least


def test_topics_are_created_by_a_command_that_the_program_knows():
    services = read_yaml(DOCKER / "compose.yaml")["services"]
    command = services["topics"]["command"]
    assert command[0] == "check" and "--create-topics" in command
    # Options are read in their order, so a wrong one comes before the help.
    assert run_program(*command, "--help", settings={}).returncode == 0
    assert services["topics"]["image"] == services["worker"]["image"]


# ---- image and manifests ----


def test_image_is_built_from_the_packages_of_the_build():
    dockerfile = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
    in_image = re.search(r"--no-install-recommends (build-essential [^&\n]*)", dockerfile).group(1).split()
    install = re.sub(r"\\\n", " ", (ROOT / "tools" / "install.sh").read_text())
    in_build = re.search(r"build\)\s+echo ([^\n;]*)", install).group(1).split()
    assert set(in_image) == set(in_build)


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(DOCKER)))
def test_yaml_is_read(path):
    assert list(yaml.safe_load_all(path.read_text()))


def test_pods_get_no_more_than_they_need():
    pod = read_yaml(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    budget = read_yaml(KUBERNETES / "base" / "poddisruptionbudget.yaml")
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_kustomizations_build():
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here to build the kustomizations with")
    kinds = {}
    for name in ("base", "per-flow", "autoscaled"):
        done = subprocess.run(["kubectl", "kustomize", KUBERNETES / name], stdout=subprocess.PIPE, check=True)
        found = list(yaml.safe_load_all(done.stdout))
        kinds[name] = [document["kind"] for document in found]
        deployed = {document["metadata"]["name"]: document for document in found if document["kind"] == "Deployment"}
        if name != "base":
            assert set(deployed) == {f"terra-connect-{flow}" for flow in ("connect", "events", "connections")}
            # The key is the connect flow's alone.
            assert [flow for flow in deployed if "volumes" in deployed[flow]["spec"]["template"]["spec"]] == [
                "terra-connect-connect"]
        targets = {document["spec"]["scaleTargetRef"]["name"] for document in found
            if document["kind"] == "ScaledObject"}
        assert all("replicas" not in deployed[target]["spec"] for target in targets)
    assert kinds["base"].count("Deployment") == 1
    assert kinds["autoscaled"].count("ScaledObject") == 2
