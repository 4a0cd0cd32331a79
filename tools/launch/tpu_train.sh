#!/bin/bash
# Train on all hosts of a Cloud TPU slice. From your own machine:
#   export TPU_NAME=jaxpose ZONE=europe-west4-b CONFIG=configs/ssd300_coco.py
#   export WORKDIR=/shared/runs/ssd300_coco DATA_DIR=/shared/records
#   bash tools/launch/tpu_train.sh
# The hosts have jaxpose in ~/jaxpose, installed with `pip install -e 'jaxpose[data,tpu]'`, and a
# folder (Filestore or another NFS) with WORKDIR and DATA_DIR that all of them see. The same command
# resumes. A slice is created with
#   gcloud compute tpus tpu-vm create "$TPU_NAME" --zone="$ZONE" \
#     --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite
set -euo pipefail

gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker=all --command="
  cd jaxpose && JAX_COMPILATION_CACHE_DIR=~/.cache/jaxpose python3 -m jaxpose.train --config='$CONFIG' --workdir='$WORKDIR' \
    --config.data_dir='$DATA_DIR' --config.distributed=auto"
