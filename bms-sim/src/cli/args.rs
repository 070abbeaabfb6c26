//! What can be typed: clap structures and nothing else.

use std::path::PathBuf;

use bms_sim::cell_file::Chemistry;
use bms_sim::sensors::SensorCorner;
use bms_sim::verify::Part;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

/// From lab data to a scored state of charge.
///
/// `identify` fits a cell model to laboratory tests, `replay` runs the battery management core over one recorded run with
/// it, `verify` does both for whole folders of data and writes a report.
#[derive(Debug, Parser)]
#[command(
    name = "bms",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 = done and every bound met, 1 = a bound or target missed, 2 = bad usage or input.",
    after_long_help = "\
Examples:
  bms verify                                       the whole matrix on the data kept in the repository
  bms identify --dataset data/nmc_m50/soh100 -o cell.toml
  bms replay --cell cell.toml --input data/nmc_m50/soh100/p25C_US06.bdf.parquet -o out.csv
  bms model run okane2022 --c-rate 1                a simulated cell discharged, as CSV and picture
  bms simulate scenarios/winter_morning.toml        a pack in closed loop with the core

Exit codes: 0 = done and every bound met, 1 = a bound or target missed, 2 = bad usage or input."
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// Show neither progress nor summaries; errors still appear.
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
}

/// The commands. Those with arguments have their text there: a text here would replace the whole of it.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Identify(IdentifyArgs),
    Replay(ReplayArgs),
    Verify(VerifyArgs),
    Export(ExportArgs),
    Simulate(SimulateArgs),
    Faults(FaultsArgs),
    Decode(DecodeArgs),
    Design(DesignArgs),
    /// Simulate cells: list them, show their parameters, put them under a load.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  bms completions bash > ~/.local/share/bash-completion/completions/bms"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Fit a cell to open-circuit and pulse tests.
///
/// Writes the cell file and, next to it, one SVG plot per parameter. Says what could not be identified.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms identify --dataset data/lfp_bpx/soh100 -o lfp.toml
  bms identify --dataset FOLDER --only a123 --exclude dyn/25C -o a123.toml
  bms identify --ocv c20.csv@25 --hppc hppc_25.csv@25 --hppc hppc_-10.csv@-10 -o cell.toml")]
pub(super) struct IdentifyArgs {
    /// Folder with a `dataset.json` that says which file is which test.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["ocv", "hppc"], conflicts_with_all = ["ocv", "hppc"])]
    pub(super) dataset: Option<PathBuf>,
    /// Slow open-circuit test (C/20 or slower) and its temperature in degC, split at the last `@`; may be repeated.
    #[arg(long, value_name = "FILE@T", value_parser = file_at)]
    pub(super) ocv: Vec<(PathBuf, f64)>,
    /// Pulse test and its temperature in degC, split at the last `@`; may be repeated.
    #[arg(long, value_name = "FILE@T", value_parser = file_at)]
    pub(super) hppc: Vec<(PathBuf, f64)>,
    /// Cell file to write.
    #[arg(long, short, value_name = "CELL.toml")]
    pub(super) output: PathBuf,
    /// Use only files of the data set whose path contains this text.
    #[arg(long, value_name = "TEXT", requires = "dataset")]
    pub(super) only: Option<String>,
    /// Leave out files of the data set whose path contains this text; may be repeated.
    #[arg(long, value_name = "TEXT", requires = "dataset")]
    pub(super) exclude: Vec<String>,
    /// Chemistry; told from the open-circuit voltage if not given.
    #[arg(long, value_name = "NMC|NCA|LFP", ignore_case = true, value_parser = chemistry())]
    pub(super) chemistry: Option<Chemistry>,
    /// Nominal capacity in Ah; from the data set or the largest discharge if not given.
    #[arg(long, value_name = "AH", value_parser = positive)]
    pub(super) nominal_capacity_ah: Option<f64>,
    /// Lower and upper cut-off voltage in V; from the data set or the slow test if not given.
    #[arg(long, value_name = "LO,HI", value_parser = limits)]
    pub(super) voltage_limits: Option<[f64; 2]>,
    /// Name of the cell.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Print a machine-readable summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Print an identified cell as constants for firmware.
///
/// The file holds one constant of type `bms_core::cell::CellTables`, with the numbers that the simulator computes with.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bms export --cell cell.toml --rust src/cell.rs")]
pub(super) struct ExportArgs {
    /// Cell file from `bms identify`. Without it, the cell of the pack file's plant, as a simulated laboratory finds it.
    #[arg(long, value_name = "CELL.toml", required_unless_present = "pack")]
    pub(super) cell: Option<PathBuf>,
    /// Pack file: its layout, limits and devices go into the parameters. Without it, a pack of one such cell.
    #[arg(long, value_name = "PACK.toml")]
    pub(super) pack: Option<PathBuf>,
    #[command(flatten)]
    pub(super) to: ExportTo,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct ExportTo {
    /// Rust source to write: the tables of the cell.
    #[arg(long, value_name = "OUT.rs")]
    pub(super) rust: Option<PathBuf>,
    /// C header to write: the parameters of the pack as a constant array for `bms_init`.
    #[arg(long, value_name = "OUT.h")]
    pub(super) c: Option<PathBuf>,
    /// Binary file to write: the same, to be flashed at an address divisible by four.
    #[arg(long, value_name = "OUT.bin")]
    pub(super) blob: Option<PathBuf>,
}

/// Run the core in closed loop with a simulated pack, as a scenario file says.
///
/// The scenario names the pack, the phases (drives, parks, charges, preheats), controller settings, sensors, faults and
/// what is expected. Written are `recording.parquet` (everything over time, each cell's temperature and SOC),
/// `summary.json` (the figures) and `index.html` (a report with pictures).
///
/// Signs: currents and powers are positive on DISCHARGE in scenarios and pictures. In the Parquet file they are positive on
/// CHARGE, as the Battery Data Format has them.
///
/// The exit code is 1 when an expectation of the scenario is missed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms simulate scenarios/fast_charge_10_80.toml
  bms simulate scenarios/week_mixed.toml -o week --interval 30
  bms simulate my_scenario.toml --seed 7 --json --no-report")]
pub(super) struct SimulateArgs {
    /// Scenario file.
    #[arg(value_name = "SCENARIO.toml")]
    pub(super) scenario: PathBuf,
    /// Folder to write into; `simulated/` and the name of the scenario if not given.
    #[arg(long, short, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Seed of the cells' spread and the sensors' errors; the scenario's own if not given.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Time between rows in s; if not given 1, and coarser in long runs. The figures are taken from every step.
    #[arg(long, value_name = "S", value_parser = positive)]
    pub(super) interval: Option<f64>,
    /// Print the figures as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Write neither the page nor its pictures.
    #[arg(long)]
    pub(super) no_report: bool,
    /// Write what the pack sends over CAN as a candump log, once per step.
    #[arg(long, value_name = "LOG")]
    pub(super) can: Option<PathBuf>,
    /// Write the messages for an inverter into the CAN log, too.
    #[arg(long, value_enum, value_name = "DIALECT", requires = "can")]
    pub(super) inverter: Option<InverterArg>,
    /// Write the records that firmware logs over a serial line, once per step (`bms decode` reads them).
    #[arg(long, value_name = "LOG")]
    pub(super) wire: Option<PathBuf>,
}

/// Whose messages an inverter understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum InverterArg {
    /// Victron (Venus OS).
    Victron,
    /// Pylontech, as many other inverters.
    Pylontech,
}

/// Read a log of firmware: a candump log, or records of a serial line.
///
/// A log of `candump -l` is read with the DBC files of this project, or with those given. Anything else is taken for the
/// byte stream of firmware (`bms-wire`): damaged frames are counted and skipped. What could not be read is told at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms simulate scenarios/storage_day.toml --can day.log --inverter victron --wire day.wire
  bms decode day.log --only StateEstimate
  bms decode day.wire --csv > day.csv
  bms decode car.log --dbc car.dbc --json")]
pub(super) struct DecodeArgs {
    /// The log; `-` for the standard input.
    #[arg(value_name = "LOG")]
    pub(super) log: PathBuf,
    /// DBC file of the bus in place of those of this project; may be repeated.
    #[arg(long, value_name = "FILE.dbc")]
    pub(super) dbc: Vec<PathBuf>,
    /// Only messages, records, signals and fields with this text in their name; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(super) only: Vec<String>,
    /// Print CSV: time, message or record, signal or field, value, unit, name of the value.
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Break everything that can break, in every operating mode, and see whether the core finds and answers it in time.
///
/// Faults of cells, contactors, sensors, messages, memory and timing are injected into simulated packs with the worst
/// sensors that the standard allows, while they drive, charge, park, preheat and balance, cold and hot. Detection and
/// reaction are held against the fault-tolerant times of the core's diagnosis table; a miss, or a reaction without a reason
/// in hours of normal driving, ends the program with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms faults
  bms faults --full --report report-faults
  bms faults --hours 0 --seed 3")]
pub(super) struct FaultsArgs {
    /// Many more drawn faults, and 1000 h of normal driving.
    #[arg(long)]
    pub(super) full: bool,
    /// Folder to write a report into.
    #[arg(long, value_name = "DIR")]
    pub(super) report: Option<PathBuf>,
    /// Hours of normal driving.
    #[arg(long, value_name = "H", value_parser = not_negative)]
    pub(super) hours: Option<f64>,
    /// Faults that are drawn beside the matrix of faults, modes and temperatures.
    #[arg(long, value_name = "N")]
    pub(super) drawn: Option<usize>,
    /// Only one in so many cases of the matrix.
    #[arg(long, value_name = "N")]
    pub(super) every: Option<usize>,
    /// Only faults whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Seed of packs, sensors, places and times.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Print every case as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Run the core over one recorded run, sample by sample.
///
/// OUT.csv has one row for every row of the run: `Test Time / s`, `soc` and `soc_std` of the core, `soc_coulomb_counter`
/// and `soc_textbook_ekf` of the two baselines, `soc_reference` if one is known, voltage, current (positive on charge)
/// and temperature as the sensors showed them, then what else the core estimates: `predicted_voltage_v`,
/// `model_error_v`, `hysteresis` (-1 discharged into, 1 charged into), `resistance_scale` (1 = as in the cell file),
/// `current_bias_a` (positive: the sensor reads too much discharge) and `status` (flags joined by `|`).
///
/// Reference: the SOC column of the run (`soc_true` or `soc_src`); else the cycler's counter (`Net Capacity / Ah`) over
/// the capacity, from `--reference-start` (default 1: a run of a cycler starts full), whatever `--initial-soc` says.
/// Errors are scored from 10 min on when the start is right, from the declared convergence time when it is wrong (NMC, NCA
/// 15 min; LFP: off the plateau for 5 min or at rest for 30 min).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms replay --cell cell.toml --input drive.csv -o out.csv
  bms replay --cell cell.toml --input drive.bdf.parquet --initial-soc 0.7 --sensors good --seed 7 -o out.csv
  bms replay --cell cell.toml --input drive.csv.gz --current-offset-a -0.3 --fail-above 3 -o out.csv")]
pub(super) struct ReplayArgs {
    /// Cell file from `bms identify`.
    #[arg(long, value_name = "CELL.toml")]
    pub(super) cell: PathBuf,
    /// Run in Battery Data Format: CSV, CSV.gz or Parquet.
    #[arg(long, value_name = "RUN")]
    pub(super) input: PathBuf,
    /// SOC that the estimators start with, as a fraction; from the first voltage if not given.
    #[arg(long, value_name = "X", value_parser = fraction, allow_negative_numbers = true)]
    pub(super) initial_soc: Option<f64>,
    /// Standard deviation of that SOC as the core is told it, as a fraction; that of a guess if not given.
    #[arg(long, value_name = "X", value_parser = fraction, requires = "initial_soc")]
    pub(super) initial_soc_std: Option<f64>,
    /// Sensors between the recorded run and the core.
    #[arg(long, value_enum, default_value_t = SensorCorner::Ideal)]
    pub(super) sensors: SensorCorner,
    /// Seed of the sensor errors.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Offset added to the current that the estimators see, in A, positive on discharge.
    #[arg(long, value_name = "A", default_value_t = 0.0, value_parser = finite, allow_negative_numbers = true)]
    pub(super) current_offset_a: f64,
    /// Present capacity in Ah, as from a check-up; the cell file's if not given.
    #[arg(long, value_name = "AH", value_parser = positive)]
    pub(super) capacity_ah: Option<f64>,
    /// Cell temperature in degC where the run has no temperature column (25 if not given).
    #[arg(long, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    pub(super) temperature_c: Option<f64>,
    /// SOC of the reference at the first sample where the run has no SOC column, as a fraction.
    #[arg(long, value_name = "X", value_parser = fraction, allow_negative_numbers = true)]
    pub(super) reference_start: Option<f64>,
    /// Exit with 1 when the core's maximum error after convergence is above so many points.
    #[arg(long, value_name = "POINTS", value_parser = positive)]
    pub(super) fail_above: Option<f64>,
    /// CSV file to write.
    #[arg(long, short, value_name = "OUT.csv")]
    pub(super) output: PathBuf,
    /// Print the scores as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Identify and replay whole data sets, score them, and write a report.
///
/// Every drive is replayed with a right start, ±10 and ±30 points of start error, a current offset both ways, and good and
/// limit sensors; drives of aged cells also with the new cell's capacity. Each cell is identified from other runs than
/// those it is scored on. The report shows all of it against the target of 3 points and against a coulomb counter and a
/// textbook Kalman filter.
///
/// The exit code is 1 when a recorded bound is exceeded, or the core does not beat both baselines on the weighted whole and
/// at every temperature: an error that grows fails the run. Runs that miss the 3-point target are listed, but only
/// `--strict` makes them fail.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms verify                                   the data kept in the repository, and the simulated plants
  bms verify --plants okane2022 --filter plant/ --report /tmp/plant      one plant alone
  bms verify --data ../shared                  all measured and simulated sets
  bms verify --filter nmc_m50/soh100/p25C --report nmc    a part of them
  bms verify --update-bounds                   record what is reached now as the bounds to keep")]
pub(super) struct VerifyArgs {
    /// Folder of data sets at any depth (folders with a `dataset.json`); the repository's `data` if not given.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Plants to score beside the data: `all`, `none` or names (kim2011, mohtat2020, okane2022, prada2013). If not given,
    /// all beside the repository's data and none beside other data.
    ///
    /// Plants are physics models of cells, simulated during the run. Each is identified from simulated laboratory tests
    /// alone (C/20, HPPC, discharges) of the new cell and scored new, worn to 90 and 80 %, and as cells that differ. Without
    /// --full each age and temperature gets one of nine profiles.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(super) plants: Vec<String>,
    /// Folder to write the report into.
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub(super) report: PathBuf,
    /// Only the right start with ideal sensors; no ablation, no comparison with the baselines.
    #[arg(long)]
    pub(super) quick: bool,
    /// The whole matrix on the plants: every profile, age, temperature, start error and sensor corner, 200 cells that differ;
    /// 200 packs for every comparison of the control.
    ///
    /// Takes hours, most of it for the control (see --only). Finished drives are kept in the report's folder (`finished.jsonl`): a run that
    /// was stopped goes on where it was, as long as the program is the same.
    #[arg(long)]
    pub(super) full: bool,
    /// Discard finished drives.
    #[arg(long, requires = "full")]
    pub(super) fresh: bool,
    /// Only this part: `soc` (drives of single cells), `sop`, `soh`, `packs` (their cells), `control` (packs in closed loop)
    /// or `faults`.
    #[arg(long, value_name = "PART", value_parser = part())]
    pub(super) only: Option<Part>,
    /// Only drives whose data set or file name contains this text; with `--only control`, only scenarios whose name does.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Base of the seeds of all sensor errors; bounds are recorded with 1.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Bounds file; `bounds.toml` of the repository if not given.
    #[arg(long, value_name = "FILE")]
    pub(super) bounds: Option<PathBuf>,
    /// Record what is reached now, plus 10 % or at least 0.3 points, as the new bounds; with --only, those of that part.
    #[arg(long, conflicts_with = "quick")]
    pub(super) update_bounds: bool,
    /// Exit with 1 when any run misses the 3-point target.
    #[arg(long)]
    pub(super) strict: bool,
    /// Print the content of results.json.
    #[arg(long)]
    pub(super) json: bool,
}

/// What to do with simulated cells; texts as in [`Command`].
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// List the built-in cells.
    #[command(after_help = "Example:\n  bms model list --json")]
    List {
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    Show(ModelShowArgs),
    Run(Box<ModelRunArgs>),
    Compare(ModelCompareArgs),
    Rate(ModelRateArgs),
}

/// Put the current of measured runs through a cell and tell how far its voltage is off.
///
/// A run is cut at rests of half an hour or more. Each part starts with the model at rest, at the measured rest voltage; its
/// surface is held at the measured temperature. A part is compared while a current flows, until the model is 0.1 V beyond a
/// voltage limit. Pulses in a row that start alike are told in one line. `emptied` is the charge to the lower voltage limit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms model compare chen2020 discharge.parquet
  bms model compare oregan2022 --data data/nmc_m50/soh100
  bms model compare my_cell.json drive.csv pulses.csv --own-heat --json")]
pub(super) struct ModelCompareArgs {
    /// Built-in cell (`bms model list`) or BPX file ending in .json.
    #[arg(value_name = "NAME|FILE.json")]
    pub(super) cell: String,
    /// Measured runs in Battery Data Format: CSV, CSV.gz or Parquet; several tests in one file are told apart.
    #[arg(value_name = "RUN", required_unless_present = "data", conflicts_with = "data")]
    pub(super) runs: Vec<PathBuf>,
    /// Folder with a `dataset.json`, all of whose runs are compared.
    #[arg(long, value_name = "FOLDER")]
    pub(super) data: Option<PathBuf>,
    /// Let the cell cool with its own heat transfer, from the temperature at the start, instead of following the measured
    /// one.
    #[arg(long)]
    pub(super) own_heat: bool,
    /// Temperature in degC of runs without a temperature column.
    #[arg(long, value_name = "T", default_value_t = 25.0, value_parser = temperature, allow_negative_numbers = true)]
    pub(super) temperature: f64,
    /// Print all figures as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Show the parameters of a cell with their units and source.
///
/// Functions are shown by their range between the voltage limits (or, for the electrolyte, from half to one and a half
/// times its concentration), all at the reference temperature.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms model show okane2022
  bms model show my_cell.json                      a BPX file, with what was assumed in it
  bms model show chen2020 --bpx chen2020.json --plot ocv.svg")]
pub(super) struct ModelShowArgs {
    /// Built-in cell (`bms model list`) or BPX file ending in .json.
    #[arg(value_name = "NAME|FILE.json")]
    pub(super) cell: String,
    /// Write the cell as a BPX file (version 1.x).
    #[arg(long, value_name = "OUT.json")]
    pub(super) bpx: Option<PathBuf>,
    /// Draw open-circuit voltage and electrode potentials over SOC.
    #[arg(long, value_name = "OUT.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Print the parameters as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Put a cell under a load and write what it does.
///
/// The run goes on until the load is done, `--duration` is over, or the cell is at its voltage limit. Two files are
/// written: the run as CSV or Parquet in the Battery Data Format with the truth beside it (SOC, core temperature, heat,
/// anode potential), and a picture of it. `bms identify` and `bms replay` read such runs.
///
/// Signs: on this command line, current, C-rate and power are positive on DISCHARGE. In all files, read or written, they
/// are positive on CHARGE, as the Battery Data Format has them.
#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("load").required(true).multiple(false)),
    after_help = "\
Examples:
  bms model run okane2022 --c-rate 1                         1C discharge, full to empty
  bms model run okane2022 --c-rate -1 --soc 0.2 --temperature 0
  bms model run my_cell.json --power 15 --duration 20min -o power.parquet
  bms model run prada2013 --profile drive.csv --ambient -10
  bms model run oregan2022 --hppc --soh 0.85 -o hppc.csv
  bms model run okane2022 --cccv=0.7 --ageing --json"
)]
pub(super) struct ModelRunArgs {
    /// Built-in cell (`bms model list`) or BPX file ending in .json.
    #[arg(value_name = "NAME|FILE.json")]
    pub(super) cell: String,
    /// Constant current in A, positive on discharge.
    #[arg(long, group = "load", value_name = "A", value_parser = finite, allow_negative_numbers = true)]
    pub(super) current: Option<f64>,
    /// Constant current in multiples of the nominal capacity per hour, positive on discharge.
    #[arg(long, group = "load", value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    pub(super) c_rate: Option<f64>,
    /// Constant power in W, positive on discharge.
    #[arg(long, group = "load", value_name = "W", value_parser = finite, allow_negative_numbers = true)]
    pub(super) power: Option<f64>,
    /// Load over time: CSV, CSV.gz or Parquet with `Test Time / s` and one of `Current / A`, `C-Rate / 1`, `Power / W`
    /// (positive on charge); linear between its rows.
    #[arg(long, group = "load", value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
    /// Made-up drive with this peak in C until the cell is empty.
    #[arg(long, group = "load", value_name = "PEAK_C", value_parser = positive, num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    pub(super) drive: Option<f64>,
    /// Pulse test: from full to empty in steps of 10 % with 1C pulses (capacity: the present one).
    #[arg(long, group = "load")]
    pub(super) hppc: bool,
    /// Slow discharge and charge, so many hours each.
    #[arg(long, group = "load", value_name = "HOURS", value_parser = positive, num_args = 0..=1, require_equals = true, default_missing_value = "20")]
    pub(super) cycle: Option<f64>,
    /// Charge with this C-rate to the upper voltage limit, then at that voltage down to C/20.
    #[arg(long, group = "load", value_name = "X", value_parser = positive, num_args = 0..=1, require_equals = true, default_missing_value = "0.5")]
    pub(super) cccv: Option<f64>,
    /// Seed of the made-up drive.
    #[arg(long, default_value_t = 1, requires = "drive")]
    pub(super) seed: u64,
    /// Longest duration: seconds, or with a unit as in 90s, 20min, 1.5h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<f64>,
    /// SOC at the start as a fraction; 1 if not given, 0 for a load that charges.
    #[arg(long, value_name = "X", value_parser = fraction, allow_negative_numbers = true)]
    pub(super) soc: Option<f64>,
    /// Temperature of the cell at the start in degC.
    #[arg(long, value_name = "T", default_value_t = 25.0, value_parser = temperature, allow_negative_numbers = true)]
    pub(super) temperature: f64,
    /// Temperature of the surroundings in degC; that of the cell if not given.
    #[arg(long, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    pub(super) ambient: Option<f64>,
    /// State of health: share of the new cell's capacity that is left, 0.5 to 1.
    #[arg(long, value_name = "X", value_parser = fraction)]
    pub(super) soh: Option<f64>,
    /// What a worn cell has lost.
    #[arg(long, value_enum, default_value_t = WearArg::Both, requires = "soh")]
    pub(super) wear: WearArg,
    /// Let the cell age during the run.
    #[arg(long)]
    pub(super) ageing: bool,
    /// Time between rows in s; 1 if not given, 10 with --cycle.
    #[arg(long, value_name = "S", value_parser = positive)]
    pub(super) step: Option<f64>,
    /// How finely a physics cell is solved.
    #[arg(long, value_enum)]
    pub(super) resolution: Option<ResolutionArg>,
    /// Run to write: .csv, .csv.gz or .parquet; named after cell and load if not given.
    #[arg(long, short, value_name = "RUN")]
    pub(super) out: Option<PathBuf>,
    /// Picture to write; beside the run if not given.
    #[arg(long, value_name = "OUT.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Print a summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What a worn cell has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WearArg {
    /// Lithium alone.
    Lithium,
    /// Active material of both electrodes.
    Material,
    /// Lithium, and some active material.
    Both,
}

/// How finely a physics cell is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ResolutionArg {
    /// Half the elements: a little faster, some millivolts off in the cold.
    Coarse,
    /// About a tenth of a millivolt off in a drive.
    Default,
    /// Everything three times as fine, several times slower.
    Fine,
}

/// Measure how fast cells are simulated on this machine.
///
/// Writes a page with two pictures: the rate of one physics cell over the error of its voltage at several resolutions,
/// and the rate over the number of cells. Takes some ten seconds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms model rate
  bms model rate prada2013 --out rate_lfp
  bms model rate --quick --json")]
pub(super) struct ModelRateArgs {
    /// Built-in physics cell or BPX file.
    #[arg(value_name = "NAME|FILE.json", default_value = "okane2022")]
    pub(super) cell: String,
    /// Folder to write the page into.
    #[arg(long, short, value_name = "FOLDER", default_value = "rate")]
    pub(super) out: PathBuf,
    /// A short drive and few cells: about a second.
    #[arg(long)]
    pub(super) quick: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Work out a pack: energy, mass, power and predicted cycle life, against 200 Wh/kg and 1200 cycles.
///
/// Energy is measured on the simulated cell (C/3 at 25 degC). The life is simulated cycle after cycle until 80 % of the
/// capacity is left, with ageing that is typical of the chemistry and no fit of a product. Writes a page with pictures:
/// masses, capacity over cycles, and how both figures change with masses, capacity, temperature, depth and rates.
///
/// Exit code 0 whatever the verdict, unless `--check` is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bms design packs/car_nmc_96s1p.toml
  bms design packs/car_lfp_108s1p.toml --profile drive --temperature 35 -o lfp_warm
  bms design packs/storage_lfp_16s.toml --cycles 500 --json --check")]
pub(super) struct DesignArgs {
    /// Pack file.
    #[arg(value_name = "PACK.toml")]
    pub(super) pack: PathBuf,
    /// Cycles after which the life is stopped, whatever is left of the cell.
    #[arg(long, value_name = "N", default_value_t = 6000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) cycles: u32,
    /// Temperature of the coolant (of the air, without plates) during the life in degC.
    #[arg(long, value_name = "C", default_value_t = 25.0, value_parser = life_temperature, allow_negative_numbers = true)]
    pub(super) temperature: f64,
    /// What the pack does.
    #[arg(long, value_enum, default_value_t = DesignProfileArg::Cycles)]
    pub(super) profile: DesignProfileArg,
    /// Folder to write the page into [default: design_ and the name of the pack file].
    #[arg(long, short, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Print all figures as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with code 1 if a target is missed.
    #[arg(long)]
    pub(super) check: bool,
}

/// What a pack does in `bms design`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DesignProfileArg {
    /// Full cycles: charge C/3 to full, discharge 1C (both at most what the pack's limits allow), half an hour's rest after
    /// each.
    Cycles,
    /// A mid-size car drives the CLTC-P from full to 10 % and charges at C/3 (ageing run ten times as fast).
    Drive,
}

fn life_temperature(text: &str) -> Result<f64, String> {
    match finite(text)? {
        t if (-20.0..=60.0).contains(&t) => Ok(t),
        _ => Err("a temperature from -20 to 60 degC is asked for here".into()),
    }
}

fn part() -> impl TypedValueParser<Value = Part> {
    PossibleValuesParser::new(Part::ALL.map(|(name, _)| name))
        .try_map(|name| Part::named(&name).ok_or("no part of a verification"))
}

fn chemistry() -> impl TypedValueParser<Value = Chemistry> {
    PossibleValuesParser::new(["NMC", "NCA", "LFP"]).map(|name| match name.to_uppercase().as_str() {
        "NCA" => Chemistry::Nca,
        "LFP" => Chemistry::Lfp,
        _ => Chemistry::Nmc,
    })
}

fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("not a finite number".into()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    finite(text).and_then(|x| if x >= 0.0 { Ok(x) } else { Err("must not be below zero".into()) })
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text).and_then(|x| if x > 0.0 { Ok(x) } else { Err("must be above zero".into()) })
}

fn fraction(text: &str) -> Result<f64, String> {
    match finite(text)? {
        x if (0.0..=1.0).contains(&x) => Ok(x),
        x if (1.0..=100.0).contains(&x) => {
            Err(format!("a fraction is asked for here: give {} for {x} %", x / 100.0))
        }
        _ => Err("a fraction from 0 to 1 is asked for here: give 0.8 for 80 %".into()),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    match finite(text)? {
        t if (-60.0..=100.0).contains(&t) => Ok(t),
        t => Err(format!("{t} cannot be the temperature of a test in degC")),
    }
}

/// Seconds from `90`, `90s`, `20min`, `1.5h`.
fn duration(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let units = [("min", 60.0), ("h", 3600.0), ("s", 1.0)];
    let (number, unit_s) =
        units.iter().find_map(|(u, s)| Some((text.strip_suffix(u)?, *s))).unwrap_or((text, 1.0));
    positive(number)
        .map(|value| value * unit_s)
        .map_err(|why| format!("{why}: give seconds, or a unit as in 90s, 20min, 1.5h"))
}

fn file_at(text: &str) -> Result<(PathBuf, f64), String> {
    let (file, t) =
        text.rsplit_once('@').ok_or("give FILE@T with the test temperature in degC, e.g. hppc.csv@-10")?;
    if file.is_empty() {
        return Err("no file name before the @".into());
    }
    Ok((file.into(), temperature(t)?))
}

fn limits(text: &str) -> Result<[f64; 2], String> {
    let (lo, hi) = text.split_once(',').ok_or("give two voltages, e.g. 2.5,4.2")?;
    let (lo, hi) = (positive(lo)?, positive(hi)?);
    if lo < hi && hi <= 6.0 { Ok([lo, hi]) } else { Err("need 0 < LO < HI <= 6 V".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_checked_where_they_are_typed() {
        assert_eq!(file_at("a@b.csv@-10"), Ok(("a@b.csv".into(), -10.0)));
        assert!(file_at("a.csv").is_err() && file_at("@25").is_err() && file_at("a@300").is_err());
        assert!(fraction("80").unwrap_err().contains("give 0.8 for 80 %"));
        assert!(fraction("-0.1").is_err() && fraction("nan").is_err());
        assert_eq!(duration("90"), Ok(90.0));
        assert_eq!(duration("20min"), Ok(1200.0));
        assert_eq!(duration(" 1.5 h"), Ok(5400.0));
        assert!(duration("-1h").is_err() && duration("x").is_err() && duration("nan").is_err());
        assert_eq!(limits("2.5,4.2"), Ok([2.5, 4.2]));
        assert!(limits("4.2,2.5").is_err() && limits("4.2").is_err() && limits("2500,4200").is_err());
    }
}
