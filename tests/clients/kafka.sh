#!/usr/bin/env bash
# Apache Kafka itself, one KRaft node on 127.0.0.1: the oracle of the client suites, the differential test and the bench.
#
#   kafka.sh install                      resolve Kafka's jars into the cache (does nothing when they are there)
#   kafka.sh start PORT DIR [key=value…]  a clean broker with its data in DIR/data; returns when clients can connect
#   kafka.sh stop DIR                     stop the broker of DIR and wait for its end
#   kafka.sh classpath                    print the class path of the jars, for `java -cp`
#   kafka.sh tool CLASS [argument…]       run one of Kafka's command-line tools, for example org.apache.kafka.tools.TopicCommand
#
# DIR must be new or empty. PORT+1 is the controller's; CONTROLLER_PORT says another. KAFKA_HEAP is the broker's heap (512m).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CLIENTS_CACHE:-$here/.cache}
lib=$cache/kafka/lib
start_timeout_s=60
stop_timeout_s=30
# The short-lived tools and a test broker gain more from a quick start than from the best code.
quick_jvm=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto)

die() { echo "kafka.sh: $*" >&2; exit 1; }

need() { command -v "$1" >/dev/null || die "$1 is not installed: $2"; }

install() {
  need java "a Java 17 runtime (Debian package openjdk-17-jdk-headless)"
  local stamp=$cache/kafka/stamp want
  want=$(sha256sum <"$here/kafka/pom.xml")
  [[ -f $stamp && $(<"$stamp") == "$want" ]] && return
  need mvn "Apache Maven resolves Kafka's jars (Debian package maven)"
  rm -rf "$cache/kafka"
  mkdir -p "$lib"
  mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" >&2
  echo "$want" >"$stamp"
}

log4j() { echo "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties"; }

write_properties() {
  local port=$1 dir=$2 controller=${CONTROLLER_PORT:-$(($1 + 1))}
  shift 2
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
PROPERTIES
  # Later lines win in a properties file, so an override replaces what stands above.
  printf '%s\n' "$@" >>"$dir/server.properties"
}

start() {
  (($# >= 2)) || die "usage: kafka.sh start PORT DIR [key=value…]"
  local port=$1 dir=$2
  shift 2
  install
  mkdir -p "$dir"
  [[ -z $(ls -A "$dir") ]] || die "$dir is not empty"
  dir=$(cd "$dir" && pwd)
  write_properties "$port" "$dir" "$@"
  java "${quick_jvm[@]}" "$(log4j)" -cp "$lib/*" kafka.tools.StorageTool \
    format --standalone --cluster-id "$(cluster_id)" --config "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; die "formatting the storage failed"; }
  local heap=${KAFKA_HEAP:-512m}
  setsid java "-Xmx$heap" -XX:+UseG1GC -Dlog.level=INFO "$(log4j)" -cp "$lib/*" \
    kafka.Kafka "$dir/server.properties" >"$dir/server.log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  await_start "$dir"
}

cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='; }

await_start() {
  local dir=$1 pid deadline=$((SECONDS + start_timeout_s))
  pid=$(<"$dir/pid")
  until grep -qs 'Kafka Server started' "$dir/server.log"; do
    kill -0 "$pid" 2>/dev/null || { tail -20 "$dir/server.log" >&2; die "Kafka ended while it started"; }
    ((SECONDS < deadline)) || { tail -20 "$dir/server.log" >&2; die "Kafka did not start within $start_timeout_s s"; }
    sleep 0.1
  done
}

stop() {
  (($# == 1)) || die "usage: kafka.sh stop DIR"
  [[ -f $1/pid ]] || die "no broker was started in $1"
  local pid deadline=$((SECONDS + stop_timeout_s))
  pid=$(<"$1/pid")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do
    ((SECONDS < deadline)) || { kill -9 "$pid" || true; break; }
    sleep 0.1
  done
  rm -f "$1/pid"
}

tool() {
  local class=$1
  shift
  exec java "${quick_jvm[@]}" -Xmx256m "$(log4j)" -cp "$lib/*" "$class" "$@"
}

command=${1:-}
[[ -n $command ]] && shift
case $command in
  install | start | stop | tool) "$command" "$@" ;;
  classpath) echo "$lib/*" ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
