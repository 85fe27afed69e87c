#!/usr/bin/env bash
# What takes too long for every change: mutation testing, 100,000 simulations, 50 crashes over each store, benches.
# Each part runs whatever became of the others; exits with 1 when one of them failed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
seed=${NIGHTLY_SEED:-$(date -u +%Y%m%d)}
mkdir -p reports
failed=()

part() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if "$@"; then echo "-- $name: ok ($((SECONDS - start))s)"; else
    echo "-- $name: FAILED ($((SECONDS - start))s)"
    failed+=("$name")
  fi
}

# Killed 50 times over each store, while it shares rooms with a real Synapse.
faults() {
  test/interop/synapse/install.sh && test/interop/install.sh &&
    KILLS=50 node_modules/.bin/vitest run --config vitest.interop.config.ts --project federation faults crashes
}
mutations() { node_modules/.bin/stryker run && node scripts/mutation-score.mjs; }
benches() { node scripts/bench.mjs --json >reports/bench.json && peers; }
peers() {
  if command -v cargo >/dev/null; then node scripts/bench-peers.mjs --json reports/bench-peers.json; else
    echo "no cargo here: the comparison with peers is left out"
  fi
}

part "simulations" node scripts/simulate.mjs --seed "$seed" --runs 100000 --servers 5 --keep-going
part "faults" faults
part "mutations" mutations
part "benches" benches

printf '\n%s of 4 parts failed %s\n' "${#failed[@]}" "${failed[*]-}"
[ "${#failed[@]}" -eq 0 ]
