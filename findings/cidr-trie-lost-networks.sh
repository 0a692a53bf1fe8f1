#!/usr/bin/env bash
# cidr-trie: networks that were inserted are not found, and the default route of one trie is in all others.
#
# Expected: find_all() gets all values for a prefix on all levels (docstring), so that an address of a network that was
# inserted is found in whatever order networks were inserted, and each PatriciaTrie stores its own networks.
# Seen: of three networks that do not overlap one is not found by its own addresses in five of six orders of insertion.
# What a trie stores for 0.0.0.0 or ::, such as the default route, is stored for all tries of the process, also those of
# the other family: the root of each is made with one and the same dictionary, a default value of the constructor.
#
# Version: cidr-trie 3.1.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cidr-trie==3.1.2
echo "cidr-trie 3.1.2, $(python3 --version)"
cat >run.py <<'PYTHON'
from ipaddress import ip_address, ip_network
from itertools import permutations

from cidr_trie import PatriciaTrie

NETWORKS = ["155.44.75.0/24", "137.192.0.0/10", "180.128.0.0/9"]
for order in permutations(NETWORKS):
    trie = PatriciaTrie()
    for network in order:
        trie.insert(network, network)
    lost = [network for network in NETWORKS if not trie.find_all(str(ip_network(network)[77]))]
    print(f"{', '.join(order)}: not found {', '.join(lost) or 'none'}")
assert not any(ip_address("155.44.75.77") in ip_network(network) for network in NETWORKS[1:])
one, other, ipv6 = PatriciaTrie(), PatriciaTrie(), PatriciaTrie()
one.insert("0.0.0.0/0", "uplink of one")
other.insert("10.0.0.0/8", "edge")
ipv6.insert("2001:db8::/32", "edge")
print("in the other trie:", other.find_all("192.0.2.1"))
print("in one of IPv6:", ipv6.find_all("2001:db9::1"))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '155.44.75.0/24, 137.192.0.0/10, 180.128.0.0/9: not found 155.44.75.0/24
155.44.75.0/24, 180.128.0.0/9, 137.192.0.0/10: not found 155.44.75.0/24
137.192.0.0/10, 155.44.75.0/24, 180.128.0.0/9: not found 155.44.75.0/24
137.192.0.0/10, 180.128.0.0/9, 155.44.75.0/24: not found 137.192.0.0/10
180.128.0.0/9, 155.44.75.0/24, 137.192.0.0/10: not found 155.44.75.0/24
180.128.0.0/9, 137.192.0.0/10, 155.44.75.0/24: not found none
in the other trie: [('\''0.0.0.0/0'\'', '\''uplink of one'\'')]
in one of IPv6: [('\''::/0'\'', '\''uplink of one'\'')]' ]; then
    echo "changed: networks are stored or found in another way" >&2
    exit 1
fi
