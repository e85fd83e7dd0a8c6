#!/bin/sh
# Record once more what llama.cpp makes of the lab's models, after their weights or golden.json have changed.
# usage: recipe/llama_cpp.sh <samemodel, built with these weights> <python with requirements-llama_cpp.txt>
set -eu
if [ $# -ne 2 ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
recipe="$(cd "$(dirname "$0")" && pwd)"
models="$(dirname "$recipe")"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
for model in base small chat; do
    for weights in f32 f16 q8_0 q5_0 q4_0; do
        "$1" lab export --model "$model" --weights "$weights" --out "$scratch/$model-$weights.gguf"
    done
done
"$2" "$recipe/llama_record.py" --model-dir "$models" --gguf-dir "$scratch" > "$scratch/llama_cpp.json"
# The old record stays until the new one is whole.
cp "$scratch/llama_cpp.json" "$models/llama_cpp.json.part"
mv "$models/llama_cpp.json.part" "$models/llama_cpp.json"
