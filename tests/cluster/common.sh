# What start.sh and stop.sh share; read by both.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
logs=$here/logs
data=$here/data

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

pid_file() { echo "$logs/node$1.pid"; }

# The process of node $1, if it runs; a number that now belongs to another program is none.
pid_of() {
  local pid command
  pid=$(cat "$(pid_file "$1")" 2>/dev/null) || return 1
  # A process that has ended between two looks has no command line any more.
  command=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) || return 1
  [[ $command == *"node$1.properties"* ]] && echo "$pid"
}

# The nodes that the command line names; all of them if it names none.
check_nodes() {
  [[ ${#nodes[@]} -gt 0 ]] || nodes=(1 2 3)
  local node
  for node in "${nodes[@]}"; do
    [[ $node =~ ^[123]$ ]] || die "there is no node $node; the nodes are 1, 2 and 3"
  done
}
