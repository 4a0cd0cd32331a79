#!/bin/bash
# Predict on all chips of a Cloud TPU slice, one process a chip. From your own machine:
#   export TPU_NAME=jaxpose ZONE=europe-west4-b HOSTS=4 CHIPS=4
#   export INPUTS=/shared/photos OUTPUT_DIR=/shared/out
#   export DETECTOR=/shared/runs/ssd300_coco POSE=/shared/runs/hourglass_coco
#   bash tools/launch/tpu_predict.sh
# The hosts are prepared as for tpu_train.sh. Where the merge says that parts are missing, the same
# command does those and no others.
set -euo pipefail

on_hosts() {
  gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker="$1" --command="$2"
}

on_hosts all "cd jaxpose && HOSTS='$HOSTS' CHIPS='$CHIPS' INPUTS='$INPUTS' \
  OUTPUT_DIR='$OUTPUT_DIR' DETECTOR='$DETECTOR' POSE='$POSE' bash tools/launch/tpu_predict_host.sh"
on_hosts 0 "cd jaxpose && JAX_PLATFORMS=cpu python3 -m jaxpose.predict --merge \
  --output_dir='$OUTPUT_DIR' --format='${FORMAT:-coco}'"
