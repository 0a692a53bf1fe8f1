#!/usr/bin/env bash
# pydockerfile: the lines of a continued instruction are joined with the backslash, which so escapes a blank.
#
# Expected: a backslash at the end of a line is taken out together with the line feed; str() of a Dockerfile
# that was read gives one that builds the same.
# Seen: the lines are joined with a blank and keep the backslash: RUN install \ (line feed) --quiet tool
# becomes "RUN install \ --quiet tool", where the shell hands over one word of a blank and --quiet. A comment
# within such an instruction is written in front of it. A continued instruction at the end of the file is
# lost, and two words divided by a tab raise ValueError.
#
# Version: pydockerfile 0.0.3, the words as bash reads them. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pydockerfile==0.0.3

cat >run.py <<'PYTHON'
import shlex
import sys
from importlib.metadata import version

from pydockerfile.parser import DockerfileParser

print("pydockerfile", version("pydockerfile"))
TEXT = "FROM debian:12\nRUN install \\\n# the tool\n    --quiet tool\nCMD serve \\\n    --port 80 \\"
read = DockerfileParser().from_string(TEXT)
print(TEXT, str(read), sep="\n--- is written as\n")
(run,) = read.run
words = shlex.split(run.args)
print("words of RUN:", words, "number of CMD:", len(read.cmd))
try:
    DockerfileParser().from_string("FROM\tdebian:12")
    tab = None
except ValueError as error:
    tab = str(error)
print("FROM, a tab and debian:12:", tab)

if str(read) != "FROM debian:12\n# the tool\nRUN install \\ --quiet tool":
    sys.exit("changed: instructions are joined in another way")
if words != ["install", " --quiet", "tool"] or read.cmd or tab is None:
    sys.exit("changed: instructions are read in another way")
PYTHON
venv/bin/python run.py
