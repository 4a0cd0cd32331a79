#!/usr/bin/env bash
# Everything that an accelerator is asked for speed, in one call:
#
#   tools/measure_accelerator.sh OUT [BATCH]
#   tools/measure_accelerator.sh OUT 32,64,128
#
# One JSON file and one log per question go to OUT, and compiled programs to OUT/compiled and
# OUT/compiled_torch, so that the same command goes on where it was cut off and compiles nothing twice.
# Training comes first: of all questions it takes longest to compile. Without PyTorch the races are
# skipped. Needs no data set and no TensorFlow. BATCH, 32 without, is of training and inference: a
# number, or several with commas, each a question of its own; SECONDS_EACH, 240 without, ends a
# question that takes longer. Inductor folds BatchNorm for inference, as we do.
# Random weights and images; nothing here says how well a network finds.
set -u
cd "$(dirname "$0")/.." || exit 2
out=$(realpath -m "${1:?usage: tools/measure_accelerator.sh OUT [BATCH[,BATCH...]]}")
batches=${2:-32}
mkdir -p "$out"
export JAX_COMPILATION_CACHE_DIR="$out/compiled" TORCHINDUCTOR_CACHE_DIR="$out/compiled_torch"
export TORCHINDUCTOR_FREEZING=1
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export XLA_PYTHON_CLIENT_PREALLOCATE=false # PyTorch shares the memory

ask() { # NAME COMMAND...
  local name=$1 begun=$SECONDS
  shift
  if [ -e "$out/$name.done" ]; then
    echo "== $name: done before"
    return
  fi
  timeout "${SECONDS_EACH:-240}" python "$@" >"$out/$name.log" 2>"$out/$name.err"
  local code=$?
  [ $code = 0 ] && touch "$out/$name.done"
  echo "== $name: exit $code after $((SECONDS - begun)) s"
  cat "$out/$name.log"
}

measure() { # MODE CONFIG NAME BATCH: images/s, MFU, share of the augmentation in a step
  ask "$1_$3_$4" -m jaxpose.benchmark --config="configs/$2.py" --mode="$1" --batch_sizes="$4" \
    --dtypes=bfloat16 --windows=3 --output="$out/$1_$3_$4.json"
}

profile() { # CONFIG NAME: where a step's time goes
  ask "profile_$2" tools/profile_step.py --config="configs/$1.py" \
    --config.batch_size="${batches%%,*}" --config.model.dtype=bfloat16
}

race() { # NETWORK BATCH
  ask "race_$1_$2" tools/compare_torch.py --networks="$1" --forward_batches="$2" \
    --train_batches="$2" --dtype=bfloat16 --rounds=5 --calls=5 --output="$out/race_$1_$2.json"
}

predict() { # NAME PEOPLE [VIDEO]: frames/s by stage, full networks
  ask "predict_$1" -m jaxpose.benchmark --mode=predict --people="$2" --dtypes=bfloat16 \
    --config=configs/hourglass_mpii_posetrack.py --detector_config=configs/ssd300_mpii_posetrack.py \
    --output="$out/predict_$1.json" "${@:3}"
}

for mode in step infer; do
  for batch in ${batches//,/ }; do
    measure $mode hourglass_mpii_posetrack hourglass "$batch"
    measure $mode ssd300_mpii_posetrack ssd300 "$batch"
  done
done
profile hourglass_mpii_posetrack hourglass
profile ssd300_mpii_posetrack ssd300
if python -c "import torch" 2>"$out/torch.err"; then
  for batch in ${batches//,/ }; do
    race hourglass "$batch"
    race ssd300 "$batch"
  done
else
  echo "== no PyTorch here: no race"
fi
ask nms tools/benchmark_nms.py --batch=32
ask video tools/make_video.py "$out/video.mp4" # 1280x720, 5 s
predict video 5 "$out/video.mp4"               # decoding is a stage here
for people in 1 5 20 50; do # frames of 720p from memory
  predict "$people" "$people"
done
