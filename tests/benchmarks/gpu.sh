#!/usr/bin/env bash
# Everything that is to be known about one GPU, in at most eight minutes: correctness, then cost.
#
#   bash tests/benchmarks/gpu.sh                      # all parts, on the GPU of this machine; no network is needed
#   bash tests/benchmarks/gpu.sh tests balancing      # some of them
#   bash tests/benchmarks/gpu.sh --rehearse           # all parts in tiny sizes on the CPU: finds silly mistakes
#
# --out FOLDER    results (runs/gpu): rows.jsonl, balancing.jsonl, gpu.log, tables.md; an earlier run there is replaced
# --device NAME   cuda (cpu with --rehearse)
# --total S       seconds for everything (470); each part has its own limit besides, and what is left at most. A CPU,
#                 which others may use as well, gets four times as many
# --wheels FOLDER wheels to install beside the results when a package is missing (.wheels, of `make wheels`)
# PYTHON=...      the interpreter (python3), one with a torch that knows the GPU
#
# Each row lies on the disk as soon as it is known, so whenever the run is stopped, what was measured is there.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 2
PYTHON=${PYTHON:-python3}
ALL="tests balancing loop detection digits compile"
device="" rehearse="" out=runs/gpu total="" wheels=.wheels parts=""
while [ $# -gt 0 ]; do
  case $1 in
    --rehearse) rehearse=--rehearse ;;
    --device) device=$2; shift ;;
    --out) out=$2; shift ;;
    --total) total=$2; shift ;;
    --wheels) wheels=$2; shift ;;
    -*) echo "there is no option $1; read the head of $0" >&2; exit 2 ;;
    *) case " $ALL " in
         *" $1 "*) parts="$parts $1" ;;
         *) echo "there is no part $1; parts are $ALL" >&2; exit 2 ;;
       esac ;;
  esac
  shift
done
parts=${parts:-$ALL}
device=${device:-${rehearse:+cpu}} device=${device:-cuda}
slower=1; [ "$device" = cpu ] && slower=4
total=${total:-$((470 * slower))}
started=$SECONDS failed=""
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
rm -f "$out"/rows.jsonl "$out"/balancing.jsonl "$out"/gpu.log "$out"/tables.md

say() { echo "$(date +%H:%M:%S) $*" | tee -a "$out/gpu.log"; }
row() { printf '%s\n' "$1" >> "$out/rows.jsonl"; }
tables() {
  "$PYTHON" tests/benchmarks/gpu_tables.py "$out/rows.jsonl" "$out/balancing.jsonl" > "$out/tables.md" 2>> "$out/gpu.log"
}
trap 'tables; rm -rf "$scratch"' EXIT
trap 'say "stopped"; exit 143' TERM INT

export PYTHONUNBUFFERED=1 MPLBACKEND=agg WANDB_MODE=disabled HF_HUB_OFFLINE=1
export TORCH_CPP_LOG_LEVEL=ERROR KINETO_LOG_LEVEL=99 CUBLAS_WORKSPACE_CONFIG=:4096:8 MTL_GPU_ROWS="$out/rows.jsonl"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ "$device" = cpu ]; then
  export MTL_GPU_REHEARSAL=cpu CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1
  workers=2
else
  unset MTL_GPU_REHEARSAL
  export OMP_NUM_THREADS=4
  workers=4
fi

# part NAME LIMIT_S COMMAND...
part() {
  local name=$1 limit=$(($2 * slower)) left=$((total - SECONDS + started)) begun=$SECONDS rc
  shift 2
  [ "$left" -lt "$limit" ] && limit=$left
  if [ "$limit" -lt 10 ]; then
    say "part $name: no time left"
    row "{\"part\": \"script\", \"name\": \"$name\", \"rc\": \"no time left\"}"
    failed="$failed $name"
    return
  fi
  say "part $name, $limit s at most: $*"
  timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$out/gpu.log"
  rc=${PIPESTATUS[0]}
  say "part $name: exit code $rc after $((SECONDS - begun)) s"
  row "{\"part\": \"script\", \"name\": \"$name\", \"rc\": $rc, \"seconds\": $((SECONDS - begun)), \"limit\": $limit}"
  [ "$rc" = 0 ] || failed="$failed $name"
  tables
}

needed="torch torchvision lightning torchmetrics matplotlib rich sklearn PIL yaml pytest pytest_timeout xdist
  faster_coco_eval jsonargparse docstring_parser typeshed_client"
missing() {
  "$PYTHON" -c 'import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))' \
    $needed torchjd
}
if [ -n "$(missing)" ] && [ -d "$wheels" ]; then
  say "installing $(ls "$wheels" | wc -l) wheels for: $(missing)"
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --disable-pip-version-check \
    --root-user-action ignore --target "$scratch/site" "$wheels"/*.whl 2>&1 | tee -a "$out/gpu.log"
  export PYTHONPATH="$PYTHONPATH:$scratch/site"
fi
[ -z "$(missing)" ] || say "missing packages: $(missing)"
"$PYTHON" - 2>&1 <<'PY' | tee -a "$out/gpu.log"
import platform, lightning, torch, torchvision
card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
print(f"{card}; Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
      f"lightning {lightning.__version__}, CUDA {torch.version.cuda}")
PY
if [ "$device" = cuda ]; then
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | tee -a "$out/gpu.log"
fi

bench="$PYTHON tests/benchmarks"
common="--rows $out/rows.jsonl --device $device $rehearse"
for name in $parts; do
  case $name in
    tests)
      part tests 130 "$PYTHON" -m pytest -m gpu tests/gpu -n $workers -q -W default -p no:cacheprovider -p no:benchmark \
        --timeout=100 --tb=short --show-capture=no ;;
    balancing)
      if [ -n "$rehearse" ]; then
        sizes="--arch cnn3 --tasks 2 4 --batch 4 --rounds 3 --train-steps 1"
      else
        sizes="--arch resnet50 --tasks 4 16 2 8 40 --batch 64 --rounds 9 --limit 12"
      fi
      part balancing 140 $bench/balancing.py $sizes --device "$device" --bf16 --methods gramian --no-speed --no-cosine \
        --at-parameters UPGrad PCGrad NashMTL --solved-on-gpu UPGrad CAGrad NashMTL PCGrad --batched-floor --dial none \
        --torchjd PCGrad UPGrad --autogram-tasks 4 --json "$out/balancing.jsonl" ;;
    loop) part loop 70 $bench/gpu_training.py $common --parts loop kernels ;;
    detection) part detection 60 $bench/gpu_detection.py $common ;;
    digits) part digits 70 $bench/gpu_digits.py $common ;;
    compile) part compile 100 $bench/gpu_training.py $common --parts compile ;;
  esac
done
say "all parts took $((SECONDS - started)) s${failed:+; failed:$failed}"
[ -z "$failed" ]
