#!/bin/sh
# Lint and all tests; arguments go to pytest. The tests of the API's description are made while they run, which
# pytest-xdist can't hand out: they run beside, in the processor time that the others leave.
set -u
bin=${VENV:-.venv}/bin
said=$(mktemp)
nice "$bin/pytest" -q tests/integration/test_api_schema.py >"$said" 2>&1 &
beside=$!
trap 'rm -f "$said"' EXIT
trap 'kill "$beside" 2>/dev/null; exit 130' INT TERM

"${MAKE:-make}" --no-print-directory lint || { kill "$beside"; exit 1; }
# Four at a time, whatever the number of cores: many of them wait for a server, a timer or a disk. Those of the lab, one
# after the other, take the processors from the others.
# Each of them would import schemathesis, which is for the tests that run beside.
"$bin/pytest" -n 4 --dist loadgroup -q -p no:schemathesis --ignore tests/integration/test_api_schema.py "$@"
status=$?
wait "$beside" || status=1
echo "The API held against its description:"
cat "$said"
exit "$status"
