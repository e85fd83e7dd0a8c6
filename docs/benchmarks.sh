#!/usr/bin/env bash
# Measures what docs/benchmarks.md says and writes it anew, with docs/power.json and docs/power.svg: how often a check finds each
# fault, and how fast the lab is. Takes most of an hour on two cores. Trials are kept in .samemodel/power, so a run that was
# stopped goes on, and SEEDS=10 does with half of the trials. `--short` tries the same commands on a tenth of the work, and
# writes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --release --locked
# Seeds from 1000 on were looked at while faults that went unseen were mended, from 2000 on and from 100 on while wrong names for them
# were, from 3000 on with other weights, and from 4000 and from 5000 on with rules that have changed since; these were not.
power() { "${CARGO_TARGET_DIR:-target}/release/samemodel" --quiet lab power --first-seed 6000 --seeds "$trials" "$@"; }
trials="${SEEDS:-20}"

if [[ "${1:-}" == --short ]]; then
    trials=1
    power --design short --fault "" --fault double-bos --fault partial-routing=0.2
    exit
fi

# The published package, for the table that compares with it; it brings 5 GB of others.
if [[ -z "${MET_PYTHON:-}" ]]; then
    python3 -m venv target/met
    target/met/bin/pip install --quiet model-equality-testing==0.0.2 tqdm transformers
    export MET_PYTHON="$PWD/target/met/bin/python"
fi

took=
[[ -d .samemodel/power ]] || took=yes
SECONDS=0
power --format json --output docs/power.json
took=${took:+ It took $(((SECONDS + 59) / 60)) minutes.}
power --format svg --output docs/power.svg

{
    cat <<HEAD
# Benchmarks

Written by \`docs/benchmarks.sh\`; nothing here was typed in. Version $(cargo metadata --no-deps --format-version 1 |
        sed 's/.*"version":"\([^"]*\)".*/\1/'), $(nproc) cores.

## What a check finds

\`samemodel lab power\`: every fault of the lab at its usual severity, and honest variants of the reference's host, each checked alone by
the real path, over HTTP, with seeds and probes that no threshold was chosen with.$took

HEAD
    power --format markdown
    cat <<SPEED

The same numbers are in \`docs/power.json\`.

## What the statistics of sampled answers are worth

Recorded answers of real models, on prompts with which no constant was chosen (\`cargo bench --bench power\`). A control's answers are
answers of the wrong model that are not in the mixture.

$(cargo bench --quiet --bench power 2>/dev/null)

## How fast the lab is

Tokens a second of the engine on one worker, and the time and memory for 20 endpoints × 24 probes × 10 answers × 32 tokens:

\`\`\`text
$(cargo bench --quiet --bench engine 2>/dev/null)
$(cargo bench --quiet --bench fleet 2>/dev/null)
\`\`\`

## What hosts cost that misbehave or are many

\`cargo bench --bench hosts\`: the real program against hosts that send too much, say nothing, or answer at once.

$(cargo bench --quiet --bench hosts 2>/dev/null)

\`cargo bench --bench soak\`: a check of 200 endpoints of the lab, 2,000 streams at once, interrupted after ten minutes.

$(cargo bench --quiet --bench soak 2>/dev/null)
SPEED
} >docs/benchmarks.md.new
mv docs/benchmarks.md.new docs/benchmarks.md
