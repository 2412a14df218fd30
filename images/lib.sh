# shellcheck shell=bash
# Sourced by every set-up script, from any directory: it goes to the top of the repository and
# gives progress lines with the seconds since set-up began, apt, and the Go toolchain.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export SANDGATE_SETUP_START=${SANDGATE_SETUP_START:-$EPOCHSECONDS}
GOTOOLCHAIN=$(images/toolchain)
export GOTOOLCHAIN

say() { printf '[%4ds] %s\n' "$((EPOCHSECONDS - SANDGATE_SETUP_START))" "$*"; }

# die FIRST-LINE [MORE...]: the first line says what is wrong, the others what to do about it.
die() {
  printf 'set-up: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '        %s\n' "$@" >&2
  exit 1
}

# step WHAT COMMAND...: runs the command with no stdin and its output in a log, of which the end
# is shown if it fails. A line every 20 seconds says that work goes on. The command is in the
# foreground, so that Ctrl-C reaches it, and in a shell of its own, which stops at its first error.
step() {
  local what=$1 log beat rc
  shift
  log=$(mktemp)
  say "$what"
  (
    exec 9<> <(:) # a pipe that never has data: a sleep that leaves no process behind
    while true; do
      read -rt 20 -u 9 || true
      say "… $what"
    done
  ) &
  beat=$!
  set +e # and not `|| rc=$?`, which would make the shell below ignore errors too
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  kill "$beat" 2>/dev/null && wait "$beat" 2>/dev/null || true
  if [ "$rc" -ne 0 ]; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "this failed (exit $rc): $what" "The end of its output is above."
  fi
  rm -f "$log"
}

# running NAME: whether a process of that name lives; one that waits to be reaped does not. Does
# without pgrep, which may be missing.
running() {
  local comm
  for comm in $(grep -lsx "$1" /proc/[0-9]*/comm); do
    ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "${comm%/comm}/status" || return 0
  done
  return 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

can_apt() { is_root && command -v apt-get >/dev/null; }

# apt_update and apt_install PACKAGE...: need can_apt.
apt_update() { step "Reading Debian's package lists" apt-get update -qq; }

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  step "Installing $*" apt-get install -y -qq --no-install-recommends "$@"
}

# docker_build DOCKERFILE TAG CONTEXT ARGUMENT...: builds with BuildKit where the client has it,
# and else with the classic builder, which every engine has.
docker_build() {
  local file=$1 tag=$2 context=$3
  shift 3
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  docker build -q -f "$file" -t "$tag" "$@" "$context"
}

# hash_files: the first 12 hex digits over the names and contents of the files named on stdin.
hash_files() { LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -c1-12; }
