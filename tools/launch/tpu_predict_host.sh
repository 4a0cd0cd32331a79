#!/bin/bash
# What tpu_predict.sh runs on each host of a slice: one process a chip. The processes know nothing of
# one another, so each is told that its chip is all there is.
set -euo pipefail
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$HOME/.cache/jaxpose}

attributes=http://metadata.google.internal/computeMetadata/v1/instance/attributes
host=$(curl -fsS -H 'Metadata-Flavor: Google' "$attributes/agent-worker-number")
mkdir -p "$OUTPUT_DIR"
failed=0
processes=()
for ((chip = 0; chip < CHIPS; chip++)); do
  shard=$((host * CHIPS + chip))
  TPU_VISIBLE_CHIPS=$chip TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1 TPU_PROCESS_BOUNDS=1,1,1 \
    python3 -m jaxpose.predict "$INPUTS" --output_dir="$OUTPUT_DIR" \
    --detector="$DETECTOR" --pose="$POSE" --shard="$shard/$((HOSTS * CHIPS))" \
    >>"$OUTPUT_DIR/shard_$shard.log" 2>&1 &
  processes+=($!)
done
for process in "${processes[@]}"; do
  wait "$process" || failed=1
done
exit "$failed"
