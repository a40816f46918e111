"""The README says what the program says."""

import json
import re
import subprocess
from pathlib import Path

from support.program import binary

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def settings_in_readme():
    return re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", README, re.DOTALL).group(1)


def test_settings_table_is_the_programs():
    done = subprocess.run([binary("terra-connect"), "config", "--markdown"], stdout=subprocess.PIPE, text=True,
                          check=True)
    assert settings_in_readme() == done.stdout, "put what `terra-connect config --markdown` prints into the README"


def test_every_error_code_is_explained():
    source = (ROOT / "worker" / "connect_error.c").read_text()
    codes = set(re.findall(r'\] = \{"([a-z_]+)"', source))
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE))
    assert "invalid_request" in codes
    assert codes <= explained, codes - explained


def test_json_examples_are_json():
    for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL):
        json.loads(block)
