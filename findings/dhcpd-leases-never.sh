#!/usr/bin/env bash
# dhcpd-leases: one lease without an end makes all leases of the file unreadable.
#
# Expected: a lease that never ends has "ends never", and with db-time-format local all times are "epoch SECONDS; #
# text" (dhcpd.leases(5), the statements starts and ends; dhcpd.conf(5), db-time-format). Such leases are read, or left
# out.
# Seen: "lease.ends (date) is required" for the whole file, since "never" is kept as text and each lease must have two
# dates. So it is for times with epoch, "lease.starts (date) is required". The same file without that lease is read.
#
# Version: dhcpd-leases 0.1.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit dhcpd-leases@0.1.2 >/dev/null
echo "dhcpd-leases 0.1.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const read = require('dhcpd-leases');

const lease = (address, starts, ends) => `lease ${address} {
  starts ${starts}
  ends ${ends}
  binding state active;
  hardware ethernet 02:00:00:00:00:${address.slice(-2)};
}
`;
const usual = lease('192.0.2.10', '1 2026/11/30 01:00:00;', '1 2026/11/30 13:00:00;');
const files = {
    usual,
    never: usual + lease('192.0.2.11', '1 2026/11/30 01:00:00;', 'never;'),
    epoch: lease('192.0.2.12', 'epoch 1796000400; # Mon Nov 30 01:00:00 2026', 'epoch 1796043600;'),
};
for (const [name, text] of Object.entries(files)) {
    try {
        console.log(name, read(text).map(({ ip, ends }) => `${ip} until ${ends.toISOString()}`).join(', '));
    } catch (error) {
        console.log(name, error.message);
    }
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'usual 192.0.2.10 until 2026-11-30T13:00:00.000Z
never lease.ends (date) is required
epoch lease.starts (date) is required' ]; then
    echo "changed: such leases are read" >&2
    exit 1
fi
