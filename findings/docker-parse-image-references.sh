#!/usr/bin/env bash
# docker-parse-image: of common image references it makes other images, or null.
#
# Expected: by the grammar of image references (package reference of distribution) "localhost" is a registry, a
# path may have more than two parts, a digest follows "@", and only images of Docker Hub have the default
# namespace "library".
# Seen: localhost:5000/app:1 has the full name localhost:5000/library/app:1, another repository of that registry;
# localhost/app:1, as podman names what it builds, has no registry; a digest becomes a tag, so that the full
# name library/app:sha256:... is no reference any more; a path of three parts, as GitLab's registry has,
# gives null. dockerfile-ast reads all four.
#
# Versions: docker-parse-image 3.0.1 beside dockerfile-ast 0.7.1, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit docker-parse-image@3.0.1 dockerfile-ast@0.7.1 >/dev/null
cat >run.js <<'SCRIPT'
const parse = require('docker-parse-image');
const { DockerfileParser } = require('dockerfile-ast');
const digest = `sha256:${'0'.repeat(64)}`;
const short = (text) => text && text.replace(digest, 'sha256:0…0');
const expected = {
    'localhost:5000/app:1': ['localhost:5000/library/app:1', ['localhost:5000', 'app', '1', null]],
    'localhost/app:1': ['localhost/app:1', ['localhost', 'app', '1', null]],
    [`app@${digest}`]: ['library/app:sha256:0…0', [null, 'app', null, 'sha256:0…0']],
    'registry.example/group/team/app:1': [null, ['registry.example', 'group/team/app', '1', null]],
};
let same = true;
for (const [reference, wanted] of Object.entries(expected)) {
    const parsed = parse(reference);
    const from = DockerfileParser.parse(`FROM ${reference}`).getFROMs()[0];
    const parts = [from.getRegistry(), from.getImageName(), from.getImageTag(), short(from.getImageDigest())];
    const seen = [parsed && short(parsed.fullname), parts];
    const registry = parsed ? `, registry ${parsed.registry}` : '';
    console.log(`${short(reference)}: full name ${seen[0]}${registry}; dockerfile-ast: ${JSON.stringify(parts)}`);
    same = same && JSON.stringify(seen) === JSON.stringify(wanted);
}
if (!same || parse('localhost/app:1').registry !== null) {
    console.error('changed: references are read in another way');
    process.exit(1);
}
SCRIPT
node run.js
