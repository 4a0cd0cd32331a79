#!/usr/bin/env bash
# Everything that an accelerator is asked for speed, in one call:
#
#   tools/measure_accelerator.sh OUT [BATCH]
#   tools/measure_accelerator.sh OUT 32,64,128
#
# One JSON file and one log per question go to OUT, and compiled programs to OUT/compiled and
# OUT/compiled_torch, so that the same command goes on where it was cut off and compiles nothing twice.
# Training comes first: of all questions it takes longest to compile. Without PyTorch the two races
# are skipped. Needs no data set and no TensorFlow. BATCH, 32 without, is of training and inference: a
# number, or several with commas, each a row of the same files; SECONDS_EACH, 240 without, ends a
# question that takes longer (with what it has measured by then in its file), so give several more.
# Random weights and images; nothing here says how well a network finds.
set -u
cd "$(dirname "$0")/.." || exit 2
out=$(realpath -m "${1:?usage: tools/measure_accelerator.sh OUT [BATCH[,BATCH...]]}")
batch=${2:-32}
mkdir -p "$out"
export JAX_COMPILATION_CACHE_DIR="$out/compiled" TORCHINDUCTOR_CACHE_DIR="$out/compiled_torch"
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

step() { # CONFIG NAME: images/s, MFU, share of the augmentation
  ask "step_$2" -m jaxpose.benchmark --config="configs/$1.py" --mode=step --batch_sizes="$batch" \
    --dtypes=bfloat16 --windows=3 --output="$out/step_$2.json"
}

infer() { # CONFIG NAME
  ask "infer_$2" -m jaxpose.benchmark --config="configs/$1.py" --mode=infer \
    --batch_sizes="$batch" --dtypes=bfloat16 --windows=3 --output="$out/infer_$2.json"
}

race() { # NETWORK
  ask "race_$1" tools/compare_torch.py --networks="$1" --forward_batches="$batch" \
    --train_batches="$batch" --dtype=bfloat16 --rounds=5 --calls=5 --output="$out/race_$1.json"
}

predict() { # NAME PEOPLE [VIDEO]: frames/s by stage, full networks
  ask "predict_$1" -m jaxpose.benchmark --mode=predict --people="$2" --dtypes=bfloat16 \
    --config=configs/hourglass_mpii_posetrack.py --detector_config=configs/ssd300_mpii_posetrack.py \
    --output="$out/predict_$1.json" "${@:3}"
}

step hourglass_mpii_posetrack hourglass
step ssd300_mpii_posetrack ssd300
infer hourglass_mpii_posetrack hourglass
infer ssd300_mpii_posetrack ssd300
if python -c "import torch" 2>"$out/torch.err"; then
  race hourglass
  race ssd300
else
  echo "== no PyTorch here: no race"
fi
ask nms tools/benchmark_nms.py --batch=32
ask video tools/make_video.py "$out/video.mp4" # 1280x720, 5 s
predict video 5 "$out/video.mp4"               # decoding is a stage here
for people in 1 5 20 50; do # frames of 720p from memory
  predict "$people" "$people"
done
