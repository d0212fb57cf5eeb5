#!/bin/sh
# `make audit BIN=…`: known weaknesses of the locked dependencies, static analysis of our code, licences and a list of parts
# (CycloneDX) of what is run. Files go to out/audit; the exit status is not 0 if anything was found, or could not be asked.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
out=out/audit
mkdir -p "$out"
failed=0
packages=$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/\1/p' requirements.lock)

echo 'static analysis (bandit):'
"$bin/bandit" --quiet --recursive pipeline --severity-level medium || failed=1

echo 'licences:'
# shellcheck disable=SC2086
"$bin/pip-licenses" --format=csv --output-file="$out/licences.csv" --packages $packages > /dev/null
if grep -iE '"[^"]*(AGPL|GNU General Public|GPL-[23]|SSPL|BUSL)[^"]*"$' "$out/licences.csv"; then
    echo 'these are not to be shipped with Apache-2.0 code' && failed=1
fi
echo "$(wc -l < "$out/licences.csv") lines in $out/licences.csv"

echo 'list of parts (CycloneDX):'
"$bin/cyclonedx-py" requirements requirements.lock --output-format JSON --output-file "$out/sbom.json"
echo "$out/sbom.json"

echo 'known weaknesses (pip-audit):'
"$bin/pip-audit" --requirement requirements.lock --disable-pip --require-hashes --format json --output "$out/weaknesses.json" \
    2> "$out/pip-audit.log" || failed=1
unasked=$(grep -o '"skip_reason"' "$out/weaknesses.json" 2> /dev/null | wc -l)
if [ ! -s "$out/weaknesses.json" ] || [ "$unasked" -gt 0 ]; then
    echo "$unasked dependencies could not be looked up: the advisories were not reached" && failed=1
else
    echo "none, by $out/weaknesses.json"
fi
exit "$failed"
