#!/usr/bin/env bash
# crossplane: a value that begins with '#' is written without quotes, as a comment that swallows the next line.
#
# Expected: parse() reads what build() wrote. In nginx's configuration the number sign begins a comment where a word
# would begin, and is an ordinary letter in quotes ("Beginner's Guide", "Configuration File's Structure").
# parse() knows both.
# Seen: log_format edge '#' $host is read as three words, and written as log_format edge # $host. Read again, the
# directive has no end any more and goes on with the next line, so that the format is access_log edge.log edge, and
# there is no access log. Words with blanks, semicolons and braces are quoted.
#
# Version: crossplane 0.5.8. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check crossplane==0.5.8
cat >first.conf <<'CONF'
log_format edge '#' $host;
access_log edge.log edge;
log_format other 'b;c' 'd {e}';
CONF
cat >run.py <<'PYTHON'
import sys
from pathlib import Path

import crossplane

seen = []
for name in ("first.conf", "second.conf"):
    lines = crossplane.parse(name, check_ctx=False)["config"][0]["parsed"]
    seen.append([[line["directive"], *line["args"]] for line in lines if line["directive"] != "#"])
    print(f"{name}:", *seen[-1])
    Path("second.conf").write_text(crossplane.build(lines) + "\n")

if seen != [
    [
        ["log_format", "edge", "#", "$host"],
        ["access_log", "edge.log", "edge"],
        ["log_format", "other", "b;c", "d {e}"],
    ],
    [["log_format", "edge", "access_log", "edge.log", "edge"], ["log_format", "other", "b;c", "d {e}"]],
]:
    sys.exit("changed: values are read or written in another way")
PYTHON
venv/bin/python run.py
