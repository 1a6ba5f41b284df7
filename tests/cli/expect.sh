# What the tests of the program share; they source it. ECKART is the program, ECKART_SOURCE_DIR the
# checkout. Starts a scratch folder, $work, and enters it.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

say_failure() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}

# expect STATUS PATTERN ARGUMENTS...: exit status, and the pattern in what stdout or stderr say.
expect() {
  status=$1
  pattern=$2
  shift 2
  set +e
  "$ECKART" "$@" >out 2>err </dev/null
  got=$?
  set -e
  [ "$got" -eq "$status" ] || say_failure "eckart $*: exit $got, not $status: $(cat err)"
  cat out err | grep -q -e "$pattern" || say_failure "eckart $*: no '$pattern' in: $(cat out err)"
}

# The end of a test: its name and what failed.
finish() {
  [ "$failures" -eq 0 ] || exit 1
  echo "$1: all checks passed"
}
