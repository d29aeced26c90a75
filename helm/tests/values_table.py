"""The values table of axp/README.md, made from the comments of values.yaml.

A comment that begins with `# --` belongs to the next key.
"""

import json
import pathlib
import re

import yaml

CHART = pathlib.Path(__file__).resolve().parent.parent / "axp"
BEGIN, END = "<!-- values: begin (helm/check --table) -->\n", "<!-- values: end -->"


def documented(text: str) -> list[tuple[str, str]]:
    """(path, what the comment says) of every documented key, in order."""
    rows, path, comment = [], [], None
    for line in text.splitlines():
        if match := re.match(r"\s*# -- (.*)", line):
            comment = match[1]
        elif comment is not None and (match := re.match(r"\s*# (.*)", line)):
            comment += " " + match[1]
        elif match := re.match(r"( *)([A-Za-z]\w*):", line):
            depth = len(match[1]) // 2
            path = path[:depth] + [match[2]]
            if comment is not None:
                rows.append((".".join(path), comment))
            comment = None
    return rows


def default_of(values: dict, path: str) -> str:
    for key in path.split("."):
        values = values[key]
    return json.dumps(values)


def wanted() -> str:
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    lines = ["| value | default | what it is |", "|---|---|---|"]
    for path, comment in documented(text):
        lines.append(f"| `{path}` | `{default_of(values, path)}` | {comment.replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    text = (CHART / "README.md").read_text()
    return text.split(BEGIN, 1)[1].split(END, 1)[0]


if __name__ == "__main__":
    readme = CHART / "README.md"
    head, rest = readme.read_text().split(BEGIN, 1)
    readme.write_text(head + BEGIN + wanted() + END + rest.split(END, 1)[1])
