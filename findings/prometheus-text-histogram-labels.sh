#!/usr/bin/env bash
# parse-prometheus-text-format: of a histogram with several label sets only the last one is left.
#
# Expected: a histogram is exposed once for each combination of its labels, here link="a" and link="b";
# each has its own buckets, sum and count (Prometheus text format 0.0.4, histograms and summaries).
# Seen: one metric without labels comes out, with the buckets of link="b"; its sum and count are missing,
# and so is everything of link="a". prom2javascript gives both, whole. A counter keeps its labels.
#
# Versions: parse-prometheus-text-format 1.1.1, prom2javascript 0.2.0, Node.js 20. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit parse-prometheus-text-format@1.1.1 prom2javascript@0.2.0 >/dev/null
cat >metrics.prom <<'METRICS'
# HELP moves_total Moves.
# TYPE moves_total counter
moves_total{link="a"} 3
moves_total{link="b"} 9
# HELP gap_seconds Gaps.
# TYPE gap_seconds histogram
gap_seconds_bucket{link="a",le="0.1"} 1
gap_seconds_bucket{link="a",le="+Inf"} 3
gap_seconds_sum{link="a"} 1.5
gap_seconds_count{link="a"} 3
gap_seconds_bucket{link="b",le="0.1"} 7
gap_seconds_bucket{link="b",le="+Inf"} 9
gap_seconds_sum{link="b"} 2.5
gap_seconds_count{link="b"} 9
METRICS
cat >run.js <<'SCRIPT'
const fs = require('fs');
const parsed = require('parse-prometheus-text-format');
const { getMetricsFromStream } = require('prom2javascript');
const parse = parsed.default || parsed;
(async () => {
    const families = parse(fs.readFileSync('metrics.prom', 'utf8'));
    const [counter, histogram] = families.map((family) => JSON.stringify(family.metrics));
    const other = (await getMetricsFromStream(fs.createReadStream('metrics.prom'))).gap_seconds.data;
    const labels = JSON.stringify(other.map((metric) => [metric.labels.link, metric.count]));
    console.log(`parse-prometheus-text-format: counter ${counter}`);
    console.log(`parse-prometheus-text-format: histogram ${histogram}`);
    console.log(`prom2javascript: histogram, link and count ${labels}`);
    const same = histogram === '[{"buckets":{"0.1":"7","+Inf":"9"}}]'
        && counter === '[{"value":"3","labels":{"link":"a"}},{"value":"9","labels":{"link":"b"}}]'
        && labels === '[["a",3],["b",9]]';
    if (!same) {
        console.error('changed: histograms with labels are read in another way');
        process.exit(1);
    }
})();
SCRIPT
node run.js
