#!/usr/bin/python3
"""Writes the OpenAPI document as C: embed.py OUT openapi.yaml. What is served is JSON."""
import json
import sys

import yaml


def main(out, source):
    with open(source, encoding="utf-8") as f:
        document = yaml.safe_load(f)
    del document["x-parts"]  # anchors, which the loader has followed
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\0"
    lines = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    with open(out, "w", encoding="utf-8") as f:
        f.write("/* Made by scheduler/api/embed.py. */\n#include \"scheduler/api/v1_internal.h\"\n\n"
                "static const unsigned char bytes[] = {\n\t" + ",\n\t".join(lines) + ",\n};\n\n"
                "const char *const v1_openapi = (const char *)bytes;\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
