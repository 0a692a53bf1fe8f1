#!/usr/bin/env bash
# pyhaproxy: reading and writing a configuration takes proxies out of the defaults that they name.
#
# Expected: "frontend NAME from DEFAULTS" takes its settings from that defaults section (HAProxy 2.4 and later,
# configuration manual, 4 "Proxies"); what is read and written again means the same.
# Seen: "from web" is left out, so that the last defaults section counts, here one for TCP. HAProxy finds the result
# valid, with a warning that the http-request rules are ignored: the header is no longer set. With
# `defaults` sections without a name there is nothing to lose. That other kinds of section, such as
# resolvers, are written into the section before them is known (pyhaproxy#30).
#
# Versions: pyhaproxy 0.3.7 beside HAProxy 2.6.12-1+deb12u4 of Debian 12. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
for package in ./*.deb; do
    dpkg -x "$package" root
done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyhaproxy==0.3.7
cat >before.cfg <<'CONFIG'
global
    maxconn 2000

defaults web
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s

defaults stream
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend api from web
    bind 127.0.0.1:8080
    http-request set-header X-Edge edge-a
    default_backend servers

backend servers from web
    server one 127.0.0.1:8081
CONFIG
cat >run.py <<'PYTHON'
from pyhaproxy.parse import Parser
from pyhaproxy.render import Render

Render(Parser("before.cfg").build_configuration()).dumps_to("after.cfg")
PYTHON
venv/bin/python run.py

haproxy() {
    LD_LIBRARY_PATH=$(dirname root/usr/lib/*/liblua5.3.so.0) root/usr/sbin/haproxy "$@"
}
check() {
    haproxy -c -f "$1" 2>&1 | sed -n 's/.*\(config : .*\|Configuration file is.*\)/\1/p' | tr '\n' ' '
}
haproxy -v | sed -n 1p
for file in before.cfg after.cfg; do
    echo "$file: $(grep -E '^(frontend|backend)' $file | sed 's/ *$//' | paste -sd, -); HAProxy: $(check $file)"
done
before=$(check before.cfg)
after=$(check after.cfg)
if grep -q ' from ' after.cfg || [ "$before" != "Configuration file is valid " ] ||
    [ "$after" != "config : 'http-request' rules ignored for frontend 'api' as they require HTTP mode. Configuration file is valid " ]; then
    echo "changed: the defaults that a proxy names are kept, or something else is lost" >&2
    exit 1
fi
