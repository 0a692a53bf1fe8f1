#!/usr/bin/env bash
# ansible-core: from 2.21 on the `add_host` that a collection's action plugin returns adds no host.
#
# Expected: an action plugin that returns {"add_host": {"host_name": ..., "groups": [...], "host_vars": {...}}}, as
# ansible.builtin.add_host does, adds a host to the inventory in memory, as it did for years; or a warning.
# Seen: with 2.20 the next play has the host. With 2.21 the same task is ok, no warning comes, and the host is
# not there: only Ansible's own action may say so now. Calling that from the plugin works with both.
#
# Versions: ansible-core 2.20.0 and 2.21.0, Python 3.12 or later. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 2.20.0 2.21.0; do
  "${PYTHON:-python3}" -m venv "venv-$version"
  "venv-$version/bin/pip" install --quiet --disable-pip-version-check "ansible-core==$version"
done
mkdir action_plugins
cat >action_plugins/lane.py <<'PLUGIN'
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        added = {"host_name": "lane", "groups": ["lanes"], "host_vars": {"number": 1}}
        return {**result, "changed": True, "add_host": added}
PLUGIN
cat >play.yml <<'PLAY'
- hosts: localhost
  gather_facts: false
  tasks:
    - lane:
    - ansible.builtin.debug:
        msg: "lanes: {{ groups['lanes'] | default([]) | join(' ') }}."
PLAY
saw() {
  "venv-$1/bin/ansible-playbook" -i localhost, -c local play.yml 2>&1 | grep -o 'lanes: [a-z ]*\.'
}
old=$(saw 2.20.0)
new=$(saw 2.21.0)
echo "ansible-core 2.20.0: $old"
echo "ansible-core 2.21.0: $new"
if [ "$old" != 'lanes: lane.' ] || [ "$new" != 'lanes: .' ]; then
  echo 'changed: a host that an action plugin adds is treated in another way' >&2
  exit 1
fi
