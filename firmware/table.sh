#!/usr/bin/env bash
# The tables of budget.toml for a README.
#   table.sh                    prints them
#   table.sh --write FILE...    puts them after the lines `<!-- figures -->` and `<!-- peers -->`, up to `<!-- end -->`
#   table.sh --check FILE...    fails if they are not there as they should be
set -euo pipefail
budget="$(dirname "$0")/budget.toml"
figures() {
    awk '
    $2 == "=" { v[$1] = $3 }
    END {
        n = split("filter cell_nmc cell_lfp bms16 bms96", programs, " ")
        print "| | filter | cell NMC | cell LFP | 16 cells | 96 cells |"
        print "|---|---|---|---|---|---|"
        row("instructions, mean at 1 Hz", "instructions_", "_mean_1hz")
        row("instructions, mean at 10 Hz", "instructions_", "_mean_10hz")
        row("instructions, best", "instructions_", "_best")
        row("instructions, worst", "instructions_", "_worst")
        # Ten steps a second, 1.2 to 2 cycles an instruction.
        line = "| share of 168 MHz at 10 Hz, % |"
        for (k = 1; k <= n; k++) {
            percent = 100 * 10 * v["instructions_" programs[k] "_mean_10hz"] / 168e6
            line = line sprintf(" %.2f to %.2f |", 1.2 * percent, 2 * percent)
        }
        print line
        row("RAM, bytes", "ram_bytes_", "")
        print "| RAM per cell, bytes | – | – | – | " v["ram_bytes_per_cell_of_16"] " | " v["ram_bytes_per_cell_of_96"] " |"
        row("stack, bytes", "stack_bytes_", "")
        row("stack at the start, bytes", "stack_bytes_", "_start")
        row("flash, bytes", "flash_bytes_", "")
    }
    # A pack has no run at 1 Hz: its protection needs more.
    function row(name, before, after,   k, key, line) {
        line = "| " name " |"
        for (k = 1; k <= n; k++) {
            key = before programs[k] after
            line = line " " (key in v ? v[key] : "–") " |"
        }
        print line
    }' "$budget"
}
peers() {
    awk '
    sub(/^instructions_filter_step_/, "") { v[$1] = $3 }
    END {
        print "| Step | C, fused | C | Rust |"
        print "|---|---|---|---|"
        print "| four states, ten elements (SOC, v1, v2, R0) | " v["c_hand4_fused"] " | " v["c_hand4"] " | " v["rust_hand4"] " |"
        print "| seven states, 28 elements | " v["c_plain7_fused"] " | " v["c_plain7"] " | – |"
        print "| seven states, factors: **ours** | " v["c_ud7_fused"] " | " v["c_ud7"] " | **" v["rust_ud7"] "** |"
    }' "$budget"
}
filled() { # file: what it should be
    FIGURES="$(figures)" PEERS="$(peers)" awk '
        $0 == "<!-- end -->" && hidden { print ""; hidden = 0 }
        !hidden { print }
        $0 == "<!-- figures -->" { print "\n" ENVIRON["FIGURES"]; hidden = found = 1 }
        $0 == "<!-- peers -->" { print "\n" ENVIRON["PEERS"]; hidden = found = 1 }
        END { if (!found || hidden) exit 1 }
    ' "$1" || { echo "$1 has no place for a table" >&2; return 1; }
}
mode="${1:-}"
[ $# -eq 0 ] || shift
case $mode in
    "") figures; echo; peers ;;
    --write)
        for file in "$@"; do
            text="$(filled "$file")"
            printf '%s\n' "$text" >"$file"
        done
        ;;
    --check)
        for file in "$@"; do
            filled "$file" | diff "$file" - || { echo "$file: not the tables of budget.toml; firmware/table.sh --write $file"; exit 1; }
        done
        ;;
    *) echo "usage: firmware/table.sh [--write FILE... | --check FILE...]"; exit 2 ;;
esac
