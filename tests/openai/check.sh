#!/usr/bin/env bash
# Holds a host of the lab against OpenAI's own client for Python, from PyPI. Not part of .ci/run, which does without PyPI.
# usage: tests/openai/check.sh <samemodel> <python 3.9 or later>
set -euo pipefail
if [[ $# -ne 2 ]]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
here="$(cd "$(dirname "$0")" && pwd)"
scratch="$(mktemp -d)"
host=
trap '[[ -z "$host" ]] || kill "$host" 2>/dev/null || :; rm -rf "$scratch"' EXIT

"$2" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
export LAB_KEY="sk-of-the-check"
# Without numeric noise, so that the same seed gives the same answer.
"$1" lab serve --fault noise=23 --api-key-env LAB_KEY >"$scratch/url" 2>"$scratch/notes" &
host=$!
for _ in {1..100}; do
    [[ ! -s "$scratch/url" ]] || break
    sleep 0.1
done
[[ -s "$scratch/url" ]] || { cat "$scratch/notes" >&2; exit 1; }
"$scratch/venv/bin/python" "$here/client.py" "$(cat "$scratch/url")"
