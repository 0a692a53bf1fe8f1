#!/usr/bin/env bash
# ssh-config-json: of several forwards or keys of a host the last is left, and keywords in lower case join
# hosts.
#
# Expected: dump and restore bring back an equal configuration. In ssh_config(5) keywords are
# case-insensitive, and LocalForward, SendEnv, IdentityFile and others may be given several times for a host.
# Seen: each host is a dictionary of its keywords, so that of two forwards one is restored, of two keys the
# second. "host" in lower case begins no new host: its lines belong to the one before, which so gets the
# other's address, user and port.
#
# Versions: ssh-config-json 1.0.1, checked with OpenSSH's "ssh -G". Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ssh-config-json==1.0.1

cat >config <<'CONFIG'
Host edge-a
    HostName 192.0.2.1
    User one
    IdentityFile ~/.ssh/site
    IdentityFile ~/.ssh/spare
    LocalForward 8081 127.0.0.1:80
    LocalForward 8082 127.0.0.1:81
host edge-b
    HostName 192.0.2.2
    User other
CONFIG
cat >run.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

from ssh_config_json.config import SSHConfig

print("ssh-config-json", version("ssh-config-json"))
before = SSHConfig("config")
before.parse()
before.dump_file("dump.json")
after = SSHConfig("restored")
after.load_file("dump.json")
after.restore()
KEYWORDS = ("hostname", "user", "identityfile", "localforward")
seen = {}
for name in ("config", "restored"):
    for host in ("edge-a", "edge-b"):
        arguments = ["ssh", "-G", "-F", name, host]
        lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
        pairs = [line.split(" ", 1) for line in lines]
        seen[name, host] = {word: [value for key, value in pairs if key == word] for word in KEYWORDS}
        print(name, host, seen[name, host])

first, second = seen["config", "edge-a"], seen["restored", "edge-a"]
if (first["hostname"], second["hostname"]) != (["192.0.2.1"], ["192.0.2.2"]):
    sys.exit("changed: hosts are joined in another way")
counts = [[len(host[word]) for word in KEYWORDS] for host in (first, second)]
if counts != [[1, 1, 2, 2], [1, 1, 1, 1]]:
    sys.exit("changed: repeated keywords are kept in another way")
if seen["restored", "edge-b"]["hostname"] != ["edge-b"]:
    sys.exit("changed: the second host is kept")
PYTHON
venv/bin/python run.py
