#!/usr/bin/env bash
# Prints the tables of README.md from budget.toml.
set -euo pipefail
cd "$(dirname "$0")"
awk '
    $2 == "=" { v[$1] = $3 }
    END {
        print "| | filter | cell NMC | cell LFP | 16 cells | 96 cells |"
        print "|---|---|---|---|---|---|"
        n = split("filter cell_nmc cell_lfp bms16 bms96", programs, " ")
        row("instructions, mean at 1 Hz", "instructions_", "_mean_1hz")
        row("instructions, mean at 10 Hz", "instructions_", "_mean_10hz")
        row("instructions, best", "instructions_", "_best")
        row("instructions, worst", "instructions_", "_worst")
        row("RAM, bytes", "ram_bytes_", "")
        row("stack, bytes", "stack_bytes_", "")
        row("stack at the start, bytes", "stack_bytes_", "_start")
        row("flash, bytes", "flash_bytes_", "")
        print "| RAM per cell, bytes | | | | " v["ram_bytes_per_cell_of_16"] " | " v["ram_bytes_per_cell_of_96"] " |\n"
        print "| Step | C, fused | C | Rust |"
        print "|---|---|---|---|"
        s = "instructions_filter_step_"
        print "| four states, ten elements (SOC, v1, v2, R0) | " v[s "c_hand4_fused"] " | " v[s "c_hand4"] " | " v[s "rust_hand4"] " |"
        print "| seven states, 28 elements | " v[s "c_plain7_fused"] " | " v[s "c_plain7"] " | |"
        print "| seven states, factors: **ours** | " v[s "c_ud7_fused"] " | " v[s "c_ud7"] " | **" v[s "rust_ud7"] "** |"
    }
    function row(name, before, after,   k, line) {
        line = "| " name " |"
        for (k = 1; k <= n; k++) line = line " " v[before programs[k] after] " |"
        print line
    }
' budget.toml
