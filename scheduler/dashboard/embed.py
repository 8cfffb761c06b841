#!/usr/bin/python3
"""Writes the dashboard's files as C: embed.py OUT FOLDER. Their names, types, bytes and a hash of these."""
import hashlib
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def array(name, data):
    lines = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    return f"static const unsigned char {name}[] = {{\n\t" + ",\n\t".join(lines) + ",\n};\n"


def main(out, folder):
    files = sorted(f for f in os.listdir(folder) if os.path.splitext(f)[1] in TYPES)
    text = "/* Made by scheduler/dashboard/embed.py. */\n#include \"scheduler/dashboard.h\"\n\n"
    rows = ""
    for i, name in enumerate(files):
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        text += array(f"file_{i}", data)
        tag = hashlib.sha256(data).hexdigest()[:20]
        rows += f"\t{{\"{name}\", \"{TYPES[os.path.splitext(name)[1]]}\", \"\\\"{tag}\\\"\", file_{i}, sizeof file_{i}}},\n"
    text += f"\nconst struct dashboard_file dashboard_files[] = {{\n{rows}}};\n"
    text += "const size_t dashboard_files_n = sizeof dashboard_files / sizeof dashboard_files[0];\n"
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
