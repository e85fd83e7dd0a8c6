#!/bin/sh
# Make tokenizer, corpus and weights again, in the folder of the models. usage: recipe/make.sh [scratch folder]
set -eu
cd "$(dirname "$0")/.."
scratch="${1:-/tmp/lab}"
mkdir -p "$scratch"
# Without these settings of the allocator a quarter of the time goes into page faults.
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=500000000

corpus() {
    python recipe/corpus.py --stage "$1" --examples "$2" --seed "$3" $5 --out "$scratch/$4.jsonl"
}
train() {
    python recipe/train.py --tokenizer tokenizer.json "$@"
}
corpus copy 8000 1 copy ""
corpus drill 20000 1 drill ""
corpus main 100000 1 main ""
corpus last 15000 1 last ""
corpus chat 16000 1 chat ""
corpus last 4000 2 valid --held-out
corpus ladder 700 2 ladder --held-out
corpus chat 5000 2 valid-chat --held-out
python recipe/tokenizer.py --corpus "$scratch/drill.jsonl" "$scratch/main.jsonl" "$scratch/chat.jsonl" --out tokenizer.json
train --size base --stage "$scratch/copy.jsonl:120" --stage "$scratch/drill.jsonl:500" --stage "$scratch/main.jsonl:1930" \
    --stage "$scratch/last.jsonl:750" --out base
train --size chat --start base --rate 0.001 --stage "$scratch/chat.jsonl:350" --out chat
train --size small --stage "$scratch/copy.jsonl:120" --stage "$scratch/drill.jsonl:400" --stage "$scratch/main.jsonl:2000" --out small
python recipe/golden.py --model-dir . > golden.json
for file in valid ladder; do
    python recipe/measure.py --model base --tokenizer tokenizer.json --validation "$scratch/$file.jsonl"
done
python recipe/measure.py --model small --tokenizer tokenizer.json --validation "$scratch/valid.jsonl"
python recipe/measure.py --model chat --tokenizer tokenizer.json --validation "$scratch/valid-chat.jsonl" --contains --exact 30 \
    --only capital_city,french,colour,opposite,identity,memory
