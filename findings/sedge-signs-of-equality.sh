#!/usr/bin/env bash
# sedge: a value with "=" gets blanks around it, and names with blanks lose their quotes, which OpenSSH
# refuses.
#
# Expected: the lines of a host are written as they were, beside what sedge replaces (its README shows plain
# ssh_config lines). In ssh_config(5) a keyword may be divided from its arguments by blanks or by one "=".
# Seen: a line is divided at its first "=", wherever it stands: "ProxyCommand ssh -o ConnectTimeout=5 gate" is
# written with "ConnectTimeout = 5", "SetEnv SITE=north" as "SetEnv SITE = north", and the quotes around a
# file name with a blank are left out. ssh refuses the whole file: "Invalid SetEnv" and "keyword identityfile
# extra arguments at end of line".
#
# Versions: sedge 2.3.1, checked with OpenSSH's "ssh -G". Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sedge==2.3.1 click==8.5.1 requests==2.34.2

cat >config <<'CONFIG'
Host edge-a
    HostName 192.0.2.1
    ProxyCommand ssh -o ConnectTimeout=5 gate nc %h %p
    SetEnv SITE=north
    IdentityFile "~/.ssh/site key"
CONFIG
cat >expected <<'CONFIG'
Host = edge-a
    HostName = 192.0.2.1
    ProxyCommand ssh -o ConnectTimeout = 5 gate nc %h %p
    SetEnv SITE = north
    IdentityFile = ~/.ssh/site key
CONFIG
mkdir home keys
venv/bin/pip list 2>/dev/null | grep sedge
HOME="$folder/home" venv/bin/sedge -c config -k keys -o - update 2>messages | grep -v '^$' >written || true
cat written
ssh -G -F config edge-a >/dev/null
ssh -G -F written edge-a >answer 2>&1 || true
cat answer

if ! cmp -s written expected || ! grep -q "Invalid SetEnv" answer || ! grep -q "extra arguments" answer; then
    echo "changed: the lines are written or read in another way" >&2
    exit 1
fi
