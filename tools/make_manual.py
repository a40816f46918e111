#!/usr/bin/python3
"""make_manual.py PROGRAM FOLDER: writes the man page and the bash completion of terra-connect into the folder.

Both are made from what the program itself says (its commands, the help of each, its table of settings), so they
cannot say anything else. The build runs this; it needs nothing but Python and the program.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

COMMAND = re.compile(r"^  ([a-z][a-z-]*) +(\S.*)$", re.MULTILINE)
OPTION = re.compile(r"^ +(--[a-z][a-z-]*)", re.MULTILINE)
CHOICES = re.compile(r"(--[a-z-]+) ([a-z-]+(?:\|[a-z-]+)+)")
SETTING = re.compile(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)

INTRODUCTION = """\
terra-connect takes connect requests from Kafka, asks Terra for an auth link within the rate limit that the whole
fleet shares, and publishes the link to a reply topic. It also turns Terra's events into a clean, keyed topic of auth
events and keeps the latest state of each connection."""

SETTINGS_INTRODUCTION = """\
Settings are environment variables. Durations are written 500ms, 30s, 10m, 2h. A secret can come from a file:
TERRA_API_KEY_FILE instead of TERRA_API_KEY. Any property of librdkafka can be set as KAFKA_…:
KAFKA_SECURITY_PROTOCOL is security.protocol."""

COMPLETION = """\
# bash completion of terra-connect; made by the build from what the program says of itself.
_terra_connect() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands} --help --version"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}        *)
            case ${{COMP_WORDS[1]}} in
{options}            *) words="" ;;
            esac
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _terra_connect terra-connect
"""


def say(program, *arguments):
    done = subprocess.run([program, *arguments], env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    return done.stdout


def read_program(program):
    """Version, {command: (summary, help)} and [(setting, default, values, help)] as the program says them."""
    version = say(program, "--version").split()[1]
    overview = say(program, "--help")
    commands = {name: (summary, say(program, name, "--help")) for name, summary in COMMAND.findall(overview)}
    settings = SETTING.findall(say(program, "config", "--markdown"))
    if not commands or not settings:
        sys.exit(f"{sys.argv[0]}: cannot read what {program} says of itself")
    return version, commands, settings


def roff(text):
    """Plain text as roff: escapes, and no line that roff would take for a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def paragraph(text):
    """The same for text that may be filled; short lines read better in the source and hurt nobody."""
    return roff(textwrap.fill(text, 78, break_long_words=False, break_on_hyphens=False))


def man_page(version, commands, settings):
    lines = [f'.TH TERRA\\-CONNECT 1 "" "terra\\-connect {version}" "User Commands"',
        ".SH NAME", "terra\\-connect \\- turns connect requests on Kafka into Terra auth links",
        ".SH SYNOPSIS", ".B terra\\-connect", ".I command", ".RI [ options ]",
        ".br", ".B terra\\-connect", ".BR \\-\\-help | \\-\\-version",
        ".SH DESCRIPTION", paragraph(INTRODUCTION),
        ".SH COMMANDS"]
    for name, (summary, help_text) in commands.items():
        lines += [f".SS {roff(name)} \\(em {roff(summary)}", ".nf", roff(help_text.rstrip()), ".fi"]
    lines += [".SH SETTINGS", paragraph(SETTINGS_INTRODUCTION)]
    for name, default, values, help_text in settings:
        default = default.strip("`")
        lines += [".TP", f".B {name}", paragraph(help_text + "."), ".br",
            paragraph(f"Values: {values}. " + (f"Default: {default}" if default else "No default."))]
    lines += [".SH SEE ALSO", ".BR systemd.service (5)", ""]
    return "\n".join(lines)


def completion(commands):
    options, choices = "", ""
    for name, (_, help_text) in commands.items():
        found = sorted(set(OPTION.findall(help_text)))
        options += f'            {name}) words="{" ".join(found)}" ;;\n'
        for option, values in CHOICES.findall(help_text):
            choices += f'        "{name} {option}") words="{values.replace("|", " ")}" ;;\n'
    return COMPLETION.format(commands=" ".join(commands), options=options, choices=choices)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    version, commands, settings = read_program(sys.argv[1])
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "terra-connect.1").write_text(man_page(version, commands, settings), encoding="utf-8")
    (folder / "terra-connect.bash").write_text(completion(commands), encoding="utf-8")


if __name__ == "__main__":
    main()
