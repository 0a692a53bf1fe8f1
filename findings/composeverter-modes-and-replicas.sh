#!/usr/bin/env bash
# composeverter: the mode 0440 of a secret becomes 440, which is 0670, and a service with no replicas is started.
#
# Expected: the converted file means the same. Modes of secrets, configs and tmpfs are octal numbers (Compose file
# reference, "secrets", long syntax); 0440 is octal in YAML 1.1 (yaml.org/type/int), as Compose reads it. restart of a
# version 2 file is "no", always, on-failure with or without a number, or unless-stopped; scale is the number of
# containers (Compose file reference, version 2).
# Seen: both conversions write the digits without the zero, so that a file to be read only may be written by its group:
# 440 is 0670. On the way from version 3 to 2, deploy.replicas is lost without a comment,
# 0 and 2 alike; max_attempts: 3 is lost; the condition "none" becomes the restart policy "none", which there is not.
#
# Versions: composeverter 1.7.5, with yaml 2.9.1 to read the result. Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit composeverter@1.7.5 yaml@2.9.1 >/dev/null
cat >run.mjs <<'SCRIPT'
import composeverter from 'composeverter';
import { parse } from 'yaml';

const text = `version: "3.8"
services:
  idle:
    image: nginx
    deploy: {replicas: 0}
    secrets: [{source: key, target: key, mode: 0440}]
  two:
    image: nginx
    deploy: {replicas: 2, restart_policy: {condition: on-failure, max_attempts: 3}}
  once:
    image: nginx
    deploy: {restart_policy: {condition: none}}
secrets: {key: {file: ./key}}
`;
function mode(yaml) {
    const value = parse(yaml, { version: '1.1' }).services.idle.secrets[0].mode;
    return `0${value.toString(8)}`;
}
const common = composeverter.migrateToCommonSpec(text, {});
const older = composeverter.migrateFromV3xToV2x(text, {});
console.log(`mode: before ${mode(text)}, in the common form ${mode(common)}, in version 2 ${mode(older)}`);
const { idle, two, once } = parse(older).services;
for (const [name, service] of Object.entries({ idle, two, once })) {
    console.log(`${name}: scale ${service.scale}, deploy ${service.deploy}, restart ${service.restart}`);
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != "mode: before 0440, in the common form 0670, in version 2 0670
idle: scale undefined, deploy undefined, restart undefined
two: scale undefined, deploy undefined, restart on-failure
once: scale undefined, deploy undefined, restart none" ]; then
    echo "changed: modes, replicas or restart policies are converted in another way" >&2
    exit 1
fi
