#!/usr/bin/env bash
# Counts the instructions of one estimator step and the bytes an estimator takes, and holds them against
# benches/budget.toml: more than 5 % above fails. `--record` writes the budget anew.
#
# Callgrind counts exactly and repeatably, whatever else the machine does; the difference of two run lengths cancels
# start-up. The figures are for this host's instruction set: they show changes, they are not a microcontroller's count.
# Exit status: 0 inside the budget, 1 above, 77 no valgrind to be had.
set -euo pipefail
cd "$(dirname "$0")/.."
budget=benches/budget.toml

if ! command -v valgrind >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo -n)
    { $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends valgrind; } >/dev/null 2>&1 || {
        echo "instructions: SKIPPED, valgrind is missing and could not be installed (apt-get install valgrind)"
        exit 77
    }
fi

cargo build --quiet --release --locked -p bms-core --example count_steps
program="${CARGO_TARGET_DIR:-target}/release/examples/count_steps"

count() { # case, steps
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 >/dev/null |
        awk '/Collected :/ { n = $NF } END { if (n == "") exit 1; print n }'
}
per_step() { # case, steps, cells
    local long short
    long=$(count "$1" $((2 * $2)))
    short=$(count "$1" "$2")
    echo $(((long - short + $2 * $3 / 2) / ($2 * $3)))
}

figures="$("$program" sizes)
instructions_drive $(per_step drive 1000 1)
instructions_count_only $(per_step count_only 1000 1)
instructions_look_up $(per_step look_up 1000 1)
instructions_iterated $(per_step iterated 1000 1)
instructions_per_cell_of_96 $(per_step pack96 100 96)
instructions_bms_of_96 $(per_step bms96 200 1)
instructions_bms_of_96_charging $(per_step bms96_charge 200 1)
instructions_cell_estimator $(per_step cell 1000 1)
instructions_sop_power $(per_step sop_power 20 1)
instructions_energy_remaining $(per_step energy_remaining 20 1)"

if [ "${1:-}" = --record ]; then
    {
        echo "# What one step may cost. Written by \`benches/instructions.sh --record\`; raise it only with a reason in the commit."
        echo "# $(rustc -V), $(uname -m), $(valgrind --version)"
        awk '{ print $1 " = " $2 }' <<<"$figures"
    } >"$budget"
fi

awk '
    FNR == NR { if ($2 == "=") allowed[$1] = $3; next }
    FNR == 1 { printf "%-31s %10s %10s %8s\n", "", "measured", "budget", "" }
    {
        if (!($1 in allowed)) { printf "%-31s %10d %10s\n", $1, $2, "none"; missing = 1; next }
        above = $2 > 1.05 * allowed[$1]
        printf "%-31s %10d %10d %+7.1f%%%s\n", $1, $2, allowed[$1], 100 * ($2 / allowed[$1] - 1), above ? "  ABOVE" : ""
        failed = failed || above
    }
    END { exit failed || missing }
' "$budget" <(printf '%s\n' "$figures") || { echo "instructions: above the budget of $budget"; exit 1; }
