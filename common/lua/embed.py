#!/usr/bin/python3
"""Writes common/lua/*.lua into one C file (see common/lua_scripts.h).

usage: embed.py OUT.c DIR

A line `--#include "x.lua"` is replaced by that file's text, at any depth; each file goes in once a script.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*--#include "([^"/]+)"\s*$')


def resolve(folder, name, seen):
    if name in seen:
        return ""
    seen.add(name)
    out = []
    path = os.path.join(folder, name)
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            match = INCLUDE.match(line)
            if match and not os.path.exists(os.path.join(folder, match[1])):
                sys.exit(f"{path}:{number}: no such file to include: {match[1]}")
            out.append(resolve(folder, match[1], seen) if match else line)
    text = "".join(out)
    return text if text.endswith("\n") or not text else text + "\n"


def c_string(text):
    lines = text.encode().splitlines(keepends=True) or [b""]
    return "\n".join('\t"' + "".join(map(c_char, line)) + '"' for line in lines)


def c_char(byte):
    special = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\", 63: "\\?"}
    if byte in special:
        return special[byte]
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def main():
    out, folder = sys.argv[1:]
    names = sorted(n for n in os.listdir(folder) if n.endswith(".lua") and not n.startswith("_"))
    parts = ["/* Generated from common/lua/ by embed.py. */",
             '#include "common/lua_scripts.h"', "",
             '#pragma GCC diagnostic ignored "-Woverlength-strings"', ""]
    rows = []
    for i, name in enumerate(names):
        parts += [f"static const char script_{i}[] = /* {name} */",
                  c_string(resolve(folder, name, set())) + ";", ""]
        rows.append(f'\t{{"{name[:-4]}", script_{i}, sizeof(script_{i}) - 1}},')
    parts += ["const struct lua_script lua_scripts[] = {", *rows, "\t{NULL, NULL, 0},", "};",
              f"const size_t lua_scripts_n = {len(names)};", ""]
    with open(out + ".tmp", "w", encoding="utf-8") as f:
        f.write("\n".join(parts))
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    main()
