#!/usr/bin/env bash
# prom2javascript: one NaN or -Inf makes the whole text unreadable.
#
# Expected: NaN, +Inf and -Inf are values of the text format (0.0.4, "comments, help text, and type
# information"); NaN is what exporters write for a quantile without observations.
# Seen: "Unable to parse metric" for the line with NaN or -Inf, and nothing of the other metrics either.
# +Inf is read.
#
# Versions: prom2javascript 0.2.0, Node.js 20. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit prom2javascript@0.2.0 >/dev/null
cat >run.js <<'SCRIPT'
const { Readable } = require('stream');
const { getMetricsFromStream } = require('prom2javascript');
(async () => {
    const seen = {};
    for (const value of ['+Inf', '-Inf', 'NaN']) {
        const text = `moves_total 3\ngap_seconds{quantile="0.5"} ${value}\n`;
        try {
            const metrics = await getMetricsFromStream(Readable.from([text]));
            seen[value] = `${Object.keys(metrics)}: ${metrics.gap_seconds.data[0].value}`;
        } catch (error) {
            seen[value] = error.message;
        }
        console.log(`${value}: ${seen[value]}`);
    }
    const same = seen['+Inf'] === 'moves_total,gap_seconds: Infinity'
        && seen['-Inf'] === 'Unable to parse metric [gap_seconds{quantile="0.5"} -Inf]'
        && seen.NaN === 'Unable to parse metric [gap_seconds{quantile="0.5"} NaN]';
    if (!same) {
        console.error('changed: these values are read in another way');
        process.exit(1);
    }
})();
SCRIPT
node run.js
