#!/usr/bin/env bash
# Starts a cluster of three nodes on this machine: clients on localhost:9092, 9093 and 9094, health
# and metrics on 9644, 9645 and 9646. Returns when every node is ready.
#
#   start.sh [--clean] [--override KEY=VALUE]… [NODE…]
#
#   --clean      remove what the nodes had stored before
#   --override   set a key on every node started, such as log.level=debug
#   NODE         1, 2 or 3: start these only, for example after stop.sh stopped them
#
# Runs target/release/chronik-server, which is built if it is not there; CHRONIK_BIN names another
# binary. START_TIMEOUT_S is how long the nodes may take to become ready (60).
# Data: tests/cluster/data/nodeN. Logs: tests/cluster/logs/nodeN.log (one run back: nodeN.log.1).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() { sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

clean=false
overrides=()
nodes=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --clean) clean=true ;;
    --override)
      [[ $# -gt 1 ]] || die "--override needs KEY=VALUE"
      overrides+=(--override "$2")
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    -*) die "unknown option $1; --help tells" ;;
    *) nodes+=("$1") ;;
  esac
  shift
done
check_nodes
timeout_s=${START_TIMEOUT_S:-60}
[[ $timeout_s =~ ^[0-9]+$ ]] || die "START_TIMEOUT_S is a number of seconds, not $timeout_s"

for node in "${nodes[@]}"; do
  if pid=$(pid_of "$node"); then
    die "node $node runs already (process $pid); tests/cluster/stop.sh stops it"
  fi
done

cd "$top"
binary=${CHRONIK_BIN:-$top/target/release/chronik-server}
if [[ ! -x $binary ]]; then
  [[ -z ${CHRONIK_BIN:-} ]] || die "CHRONIK_BIN=$binary is no program"
  echo "building $binary"
  cargo build --release --bin chronik-server
fi

mkdir -p "$logs"
started=()

start_node() {
  local node=$1 log=$logs/node$1.log
  ! $clean || rm -rf "$data/node$node"
  [[ ! -e $log ]] || mv -f "$log" "$log.1"
  # A session of its own: the node outlives this script and its terminal.
  setsid "$binary" start --config "tests/cluster/node$node.properties" "${overrides[@]}" \
    >"$log" 2>&1 </dev/null &
  echo $! >"$(pid_file "$node")"
  started+=("$node")
}

is_ready() { grep -q '^chronik ready: ' "$logs/node$1.log" 2>/dev/null; }

# Says what is wrong with node $1 and stops what this run has started.
give_up() {
  local node=$1 log=$logs/node$1.log
  echo "start.sh: node $node $2; the end of $log:" >&2
  tail -n 20 "$log" | sed 's/^/    /' >&2
  "$here/stop.sh" "${started[@]}" >/dev/null || true
  exit 1
}

for node in "${nodes[@]}"; do
  start_node "$node"
done
deadline=$((SECONDS + timeout_s))
for node in "${nodes[@]}"; do
  until is_ready "$node"; do
    pid_of "$node" >/dev/null || is_ready "$node" || give_up "$node" "has ended before it was ready"
    ((SECONDS < deadline)) || give_up "$node" "was not ready within $timeout_s s"
    sleep 0.05
  done
done

for node in "${nodes[@]}"; do
  echo "node $node is ready on localhost:$((9091 + node)) (process $(pid_of "$node"), log tests/cluster/logs/node$node.log)"
done
