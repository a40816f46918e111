#!/usr/bin/python3
"""Who may include whom: arrows point down, siblings never include each other (CONTRIBUTING.md).

Which layer a module belongs to is what common/CMakeLists.txt and worker/CMakeLists.txt say: a library is a layer. A
header without a .c belongs to the lowest layer that may include what it includes.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]

# From the bottom up.
BELOW = {
    "base": {"base"},
    "pure": {"base", "pure"},
    "clients": {"base", "clients"},
    "settings": {"base", "pure", "settings"},
    "stages": {"base", "pure", "clients"},
    "flows": {"base", "pure", "clients", "stages"},
    "terra-connect": {"base", "pure", "clients", "settings", "stages", "flows", "terra-connect"},
}
LOOP_FREE = {"base", "pure", "settings"}
# A library's headers stay inside the files that wrap it.
LIBRARIES = {
    r"librdkafka/": r"common/kafka_",
    r"curl/": r"common/http_(client|headers|shards)",
    r"hiredis/": r"common/redis_",
    r"microhttpd\.h": r"common/http_server",
    r"cjson/": r"common/json",
    r"openssl/": r"common/(certificate|digest|redis_tls)",
}
LOOP = "uv.h"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
TARGET = re.compile(r"add_(?:library|executable)\(\s*([\w-]+)([^)]*)\)")


def includes(path):
    return INCLUDE.findall(path.read_text())


def layers():
    """{"common/buf": "base", …} for every module; None for a .c that is in no target."""
    found = {}
    lone_headers = []
    for folder in ("common", "worker"):
        targets = TARGET.findall((TOP / folder / "CMakeLists.txt").read_text())
        listed = {source: target for target, sources in targets for source in sources.split()}
        for path in sorted((TOP / folder).glob("*.[ch]")):
            if path.suffix == ".c":
                found[f"{folder}/{path.stem}"] = listed.get(path.name)
            elif not path.with_suffix(".c").exists():
                lone_headers.append(path)
    for path in lone_headers:
        wanted = includes(path)
        needs = {found[name.removesuffix(".h")] for name in wanted if name.removesuffix(".h") in found}
        fitting = [layer for layer in BELOW if needs <= BELOW[layer] and not (LOOP in wanted and layer in LOOP_FREE)]
        found[f"{path.parent.name}/{path.stem}"] = fitting[0] if fitting else None
    return found


def one_module(first, second):
    """connect_flow and connect_job are parts of one thing: the first word says so."""
    return Path(first).name.split("_")[0] == Path(second).name.split("_")[0]


def complaints():
    layer_of = layers()
    for path in sorted([*TOP.glob("common/*.[ch]"), *TOP.glob("worker/*.[ch]")]):
        name = str(path.relative_to(TOP))
        module = name.rsplit(".", 1)[0]
        layer = layer_of[module]
        if layer not in BELOW:
            yield f"{name}: belongs to no layer (its target is {layer})"
            continue
        for header in includes(path):
            target = header.removesuffix(".h")
            if target in layer_of:
                other = layer_of[target]
                same = target == module or (other == layer and one_module(target, module))
                if other not in BELOW[layer] and not same:
                    yield f"{name} ({layer}) includes {header} ({other})"
            if header == LOOP and layer in LOOP_FREE:
                yield f"{name} ({layer}) includes {header}, and this layer knows no event loop"
            for library, owners in LIBRARIES.items():
                if re.match(library, header) and not re.match(owners, name):
                    yield f"{name} includes {header}, which only {owners}* may"


def main():
    found = list(complaints())
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
