#!/usr/bin/env bash
# compose_format: port 53 for UDP becomes one for TCP, and lists whose order counts are sorted.
#
# Expected: the formatted file describes the same services. In ports "/udp" is the protocol and an address in
# front the one to listen at; of two files in env_file the later one wins; name servers are asked in the order
# of dns.
# Seen: an entry that begins with two numbers up to 60 is cut behind them, to keep YAML 1.1 from reading a
# number to base 60: "53:53/udp" becomes '53:53', which is TCP, so that with "53:53/tcp" in the file there are
# two equal entries. env_file and dns are sorted like all lists but commands, so that other values win. With
# --replace this goes into the file, with no warning.
#
# Versions: compose-format 1.2.0 with ruamel.yaml 0.17.40 (it fails with 0.18 and later). Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check compose-format==1.2.0 ruamel.yaml==0.17.40

cat >compose.yml <<'COMPOSE'
version: '3'
services:
  names:
    image: names
    env_file:
      - site.env
      - defaults.env
    ports:
      - "53:53/udp"
      - "53:53/tcp"
      - "8053:53/udp"
    dns:
      - 192.0.2.53
      - 192.0.2.1
COMPOSE
venv/bin/pip list 2>/dev/null | grep -e compose -e ruamel
venv/bin/compose_format compose.yml >formatted.yml
cat formatted.yml

cat >expected.yml <<'COMPOSE'
version: '3'
services:
  names:
    image: names
    ports:
    - '53:53'
    - '53:53'
    - 8053:53/udp
    env_file:
    - defaults.env
    - site.env
    dns:
    - 192.0.2.1
    - 192.0.2.53
COMPOSE
# Only what is in the lists is compared, not their order or quotes.
entries() { sed 's/["'"'"']//g' "$1" | grep -e '^ *- '; }
if [ "$(entries formatted.yml | sort)" != "$(entries expected.yml | sort)" ] ||
    [ "$(entries formatted.yml | grep env)" != "$(entries expected.yml | grep env)" ] ||
    [ "$(entries formatted.yml | grep 192)" != "$(entries expected.yml | grep 192)" ]; then
    echo "changed: the file is formatted in another way" >&2
    exit 1
fi
