#!/bin/sh
# step.sh NAME SECONDS COMMAND...
#
# Runs one step of the tests with a bound of its own, and says how it ended and after how long. With PAWL_STEPS set
# to a file, a line of JSON about the step is added to it: tests/support/minutes.py draws them.
set -u
name=$1 limit=$2
shift 2

bound=
! command -v timeout >/dev/null || bound="timeout --foreground --kill-after=30 $limit"

began=$(date +%s)
echo "step: $name (at most $limit s)" >&2
$bound "$@"
status=$?
seconds=$(($(date +%s) - began))

case $status in
  0) how=passed ;;
  124 | 137) how="STOPPED: its $limit s are over" ;;
  *) how="FAILED with code $status" ;;
esac
echo "step: $name: $how ($seconds s)" >&2
[ -z "${PAWL_STEPS:-}" ] ||
  printf '{"step": "%s", "began": %d, "seconds": %d, "code": %d}\n' "$name" "$began" "$seconds" "$status" >>"$PAWL_STEPS"
exit $status
