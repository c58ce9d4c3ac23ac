#!/usr/bin/env bash
# Stops the nodes that start.sh started. Returns when their processes have ended.
#
#   stop.sh [--kill] [NODE…]
#
#   --kill   end them at once (SIGKILL), as a crash would; what was acknowledged stays on disk
#   NODE     1, 2 or 3: stop these only
#
# STOP_TIMEOUT_S is how long an orderly stop may take (30); a node that takes longer is killed, and
# the exit code is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

signal=TERM
nodes=()
for argument in "$@"; do
  case $argument in
    --kill) signal=KILL ;;
    -h | --help) sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $argument; --help tells" ;;
    *) nodes+=("$argument") ;;
  esac
done
check_nodes

exit_code=0
running=()
for node in "${nodes[@]}"; do
  if pid=$(pid_of "$node"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    running+=("$node")
  else
    echo "node $node does not run"
  fi
done

deadline=$((SECONDS + ${STOP_TIMEOUT_S:-30}))
for node in "${running[@]}"; do
  killed=false
  while pid=$(pid_of "$node"); do
    if ((SECONDS >= deadline)) && ! $killed; then
      echo "stop.sh: node $node did not stop in time and is killed; see $logs/node$node.log" >&2
      kill -s KILL "$pid" 2>/dev/null || true
      killed=true
      exit_code=1
    fi
    sleep 0.05
  done
  rm -f "$(pid_file "$node")"
  echo "node $node has stopped"
done
exit "$exit_code"
