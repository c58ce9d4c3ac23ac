#!/usr/bin/env bash
# The cluster of start.sh as an operator uses it: start, look, write, lose a node and get it back,
# measure for a moment, stop. Ends with `N passed, N failed`; needs the ports of start.sh, kcat and,
# for the measuring scripts, kafka-python (that of tests/clients, or PYTHON names another Python).
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$top"

server=${CHRONIK_BIN:-$top/target/release/chronik-server}
python=${PYTHON:-$top/tests/clients/.cache/python/bin/python}
[[ -x $python ]] || python=python3
bootstrap=127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094
topic=cluster-check
passed=0
failed=0
trap '"$here/stop.sh" >/dev/null 2>&1' EXIT

check() { # what, command…
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "passed: $what"
  else
    failed=$((failed + 1))
    echo "FAILED: $what"
    echo "$output" | tail -n 20 | sed 's/^/    /'
  fi
}

status() { "$server" cluster status --bootstrap "$bootstrap" --format json; }

# Whether a Python expression about the cluster's state, `s`, becomes true within 30 s.
holds() {
  local end=$((SECONDS + 30)) state
  until state=$(status) && python3 -c "import json, sys; s = json.load(sys.stdin); sys.exit(not ($1))" <<<"$state"; do
    ((SECONDS < end)) || { echo "$state"; return 1; }
    sleep 0.2
  done
}

# Every node says the line once.
said_once() {
  local node count
  for node in 1 2 3; do
    count=$(grep -cF "$1" "$logs/node$node.log")
    [[ $count == 1 ]] || { echo "node $node says it $count times"; return 1; }
  done
}

said() { grep -qE "$1" "$logs"/node?.log; }

write() { seq "$1" "$2" | kcat -q -b "$bootstrap" -P -t "$topic" -p 0 -X acks=all -X message.timeout.ms=30000; }

read_back() { # from which node, how many
  local got
  got=$(kcat -q -b "127.0.0.1:$1" -C -t "$topic" -p 0 -o beginning -e | sort -n | uniq | wc -l)
  [[ $got == "$2" ]] || { echo "$got of $2 records"; return 1; }
}

check "three nodes start" "$here/start.sh" --clean --override log.level=debug
check "each has a metadata log" said_once "Metadata WAL created (topic='__chronik_metadata', partition=0)"
check "each replicates it" said_once "Metadata WAL replication configured"
check "each receives it" said_once "WalReceiver configured for metadata replication"
check "one was elected" said "became leader"
check "status: three active nodes, one leader" holds \
  "s['leader'] in (1, 2, 3) and [n['state'] for n in s['nodes']] == ['active'] * 3 and all(n['roles'] == ['broker', 'controller'] for n in s['nodes'])"
check "status as a table" "$server" cluster status --bootstrap "$bootstrap"
check "every node is ready" curl -fsS http://127.0.0.1:964{4,5,6}/readyz
check "records are written" write 1 1000
check "and read from another node" read_back 9093 1000
check "every partition is in sync" holds "s['partitions']['total'] > 0 and s['partitions']['under_replicated'] == 0"
check "node 2 is killed" "$here/stop.sh" --kill 2
check "records are written without it" write 1001 2000
check "the partition lacks a replica" holds "s['partitions']['under_replicated'] > 0"
check "node 2 starts again" "$here/start.sh" 2
check "and catches up" holds "s['partitions']['under_replicated'] == 0 and s['partitions']['offline'] == 0"
check "all records are there" read_back 9093 2000
check "100 topics in one request" "$python" tests/metadata_throughput.py --bootstrap "$bootstrap" --rounds 2
check "10 clients, one topic per request" "$python" tests/metadata_concurrency.py --bootstrap "$bootstrap" --clients 10 --topics 200 --rounds 1
check "the fast path is taken" said "Leader creating topic 'metadata-bench-[^']*' via metadata WAL \(fast path\)"
check "the log has the topics" said "Wrote CreateTopic\('metadata-bench-[^']*'\) to metadata WAL at offset [0-9]+"
check "and the state machine" said "Applied CreateTopic\('metadata-bench-[^']*'\) to state machine"
check "the nodes stop in order" "$here/stop.sh"
check "and start again with what they had" "$here/start.sh"
check "all records are still there" read_back 9094 2000
check "the nodes stop" "$here/stop.sh"

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
