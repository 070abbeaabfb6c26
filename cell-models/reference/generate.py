"""Writes the reference runs of the physics plants; README.md says what they are and how to run this.

Sign of the current: positive on discharge.
"""
import argparse
import csv
import json
import os
import pathlib
import time
import warnings

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pybamm

import cells

warnings.filterwarnings("ignore")
pybamm.set_logging_level("ERROR")

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "tests" / "golden" / "pybamm"
DRIVE_SOURCE = HERE.parents[1] / "data" / "nmc_m50" / "soh100" / "p25C_US06.bdf.parquet"
DRIVE_ROWS = (121, 722)  # first cycle: 601 samples at 1 s
DRIVE_CELL_AH = 5.0

KELVIN = 273.15
FARADAY = 96485.33212
AMBIENT = {"m10": -10.0, "p25": 25.0, "p45": 45.0}
C_RATES = {"c20": 0.05, "1c": 1.0, "2c": 2.0}
START_SOC = {"us06": 0.8, "us06_soc50": 0.5}  # of the drives; every other run starts full
START_SOC_DRIVE = START_SOC["us06"]
# ORegan2022 ships with an upper limit of 4.4 V, which its graphite reaches only at a stoichiometry of 0.9997.
LIMITS = {"ORegan2022": (2.5, 4.2)}

MESH = {"SPMe": ((60, 40, 60), 240, 3.0), "DFN": ((20, 10, 20), 30, 2.3)}
TOLERANCES = (1e-6, 1e-8)

V, Q = "Voltage [V]", "Discharge capacity [A.h]"
TEMPERATURE = "Volume-averaged cell temperature [K]"
COMMON = ["time_s", "current_a", "voltage_v", "temperature_c", "discharge_ah"]
INNER = {
    "negative_surface_stoichiometry": ("X-averaged negative particle surface stoichiometry", "{:.7g}"),
    "positive_surface_stoichiometry": ("X-averaged positive particle surface stoichiometry", "{:.7g}"),
    "electrolyte_mean_negative": ("X-averaged negative electrolyte concentration [mol.m-3]", "{:.3f}"),
    "electrolyte_mean_positive": ("X-averaged positive electrolyte concentration [mol.m-3]", "{:.3f}"),
    "negative_surface_potential_difference":
        ("Negative electrode surface potential difference at separator interface [V]", "{:.6f}"),
}
HYSTERESIS_STATE = "X-averaged positive electrode hysteresis state"
INDEX = ["set", "model", "load", "ambient_c", "rows", "final_time_s", "final_discharge_ah", "stop_reason",
         "dfn_rmse_mv", "electrolyte_min_mol_per_m3"]


# Cells -------------------------------------------------------------------------------------------------------------

class Cell:
    """Parameter values with the voltage limits set, and the concentrations of the start states."""

    def __init__(self, name):
        self.name = name
        self.values, self.completed = cells.parameter_values(name)
        shipped = [float(self.values[f"{w} voltage cut-off [V]"]) for w in ("Lower", "Upper")]
        self.low, self.high = LIMITS.get(name, shipped)
        self.shipped_limits = shipped
        self.shipped_start = {k: float(self.values[k]) for k in (cells.NEGATIVE_START, cells.POSITIVE_START)}
        self.values.update({
            "Lower voltage cut-off [V]": self.low, "Upper voltage cut-off [V]": self.high,
            "Open-circuit voltage at 0% SOC [V]": self.low, "Open-circuit voltage at 100% SOC [V]": self.high,
        })
        self.nominal = float(self.values["Nominal cell capacity [A.h]"])
        self.start = {}
        for soc in (0.0, *START_SOC.values(), 1.0):
            at = self.values.set_initial_state(soc, inplace=False)
            self.start[soc] = {k: float(at[k]) for k in (cells.NEGATIVE_START, cells.POSITIVE_START)}
        contact = self.values.get("Contact resistance [Ohm]", 0.0)
        self.contact = float(contact) if contact else 0.0


def build(cell, model_name, load, options=None, mesh=None, tolerances=TOLERANCES, start_state=0.0):
    """A simulation of a cell; ambient temperature (K) and, unless it is a drive, current (A) are inputs."""
    options = {"thermal": "lumped", **(options or {})}
    if cell.contact > 0.0:
        options["contact resistance"] = "true"
    model = {"SPMe": pybamm.lithium_ion.SPMe, "DFN": pybamm.lithium_ion.DFN}[model_name](options)
    values = cell.values.copy()
    values.update(cell.start[START_SOC.get(load, 1.0)])
    if "open-circuit potential" in options:
        cells.add_hysteresis(values, start_state)
    values.update({"Ambient temperature [K]": "[input]", "Initial temperature [K]": "[input]"})
    if load in START_SOC:
        t, rate = drive()
        values["Current function [A]"] = pybamm.Interpolant(t, rate * cell.nominal, pybamm.t, interpolator="linear")
    else:
        values["Current function [A]"] = "[input]"
        # The open-circuit voltage at SOC 1 may lie above the upper limit away from the reference temperature.
        values["Upper voltage cut-off [V]"] = cell.high + 0.5
    (n, s, p), r, stretch = mesh or MESH[model_name]
    points = {"x_n": n, "x_s": s, "x_p": p, "r_n": r, "r_p": r}
    submesh = dict(model.default_submesh_types)
    if stretch:
        for side in ("negative particle", "positive particle"):
            submesh[side] = pybamm.MeshGenerator(
                pybamm.Exponential1DSubMesh, submesh_params={"side": "right", "stretch": stretch})
    solver = pybamm.IDAKLUSolver(rtol=tolerances[0], atol=tolerances[1])
    return pybamm.Simulation(model, parameter_values=values, solver=solver, var_pts=points, submesh_types=submesh)


def drive():
    """The drive: seconds and C-rate."""
    path = OUT / "us06_c_rate.csv"
    if not path.exists():
        import pandas
        frame = pandas.read_parquet(DRIVE_SOURCE)
        amps = -frame["Current / A"].to_numpy()[slice(*DRIVE_ROWS)]
        with path.open("w", newline="") as f:
            w = csv.writer(f, lineterminator="\n")
            w.writerow(["time_s", "c_rate"])
            for k, a in enumerate(amps):
                w.writerow([k, f"{a / DRIVE_CELL_AH + 0.0:.4f}".replace("-0.0000", "0.0000")])
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]


# Runs --------------------------------------------------------------------------------------------------------------

def sample_times(end):
    """Some 150 times from 0 to the end, denser at both; the end is kept as it is."""
    start = np.geomspace(0.1, 0.01 * end, 21)
    middle = np.linspace(0.01, 0.97, 99)[1:] * end
    last = end * (1 - np.geomspace(0.03, 1e-4, 30)[1:])
    t = np.unique(np.round(np.concatenate([[0.0], start, middle, last]), 3))
    return np.append(t[t < end], end)


def stop_reason(solution):
    text = solution.termination
    for word, reason in (("Minimum voltage", "lower_voltage_limit"), ("Maximum voltage", "upper_voltage_limit")):
        if word in text:
            return reason
    return "end" if text == "final time" else text.replace(",", ";")


def columns(solution, t, model_name, hysteresis):
    get = lambda name: np.asarray(solution[name](t)).ravel()
    out = {"time_s": t, "current_a": get("Current [A]"), "voltage_v": get(V),
           "temperature_c": get(TEMPERATURE) - KELVIN, "discharge_ah": get(Q)}
    if model_name == "SPMe":
        out.update({k: get(name) for k, (name, _) in INNER.items()})
    if hysteresis:
        out["positive_hysteresis_state"] = get(HYSTERESIS_STATE)
    return out


def electrolyte_min(solution, t):
    """Smallest electrolyte concentration of a run, over the cell."""
    return float(np.min(solution["Electrolyte concentration [mol.m-3]"](t=t[:: max(1, len(t) // 150)])))


def write(path, table):
    forms = {"time_s": "{:.6f}", "current_a": "{:.7g}", "voltage_v": "{:.6f}", "temperature_c": "{:.5f}",
             "discharge_ah": "{:.7f}", "positive_hysteresis_state": "{:.6f}"}
    forms.update({k: f for k, (_, f) in INNER.items()})

    def text(key, x):
        s = forms[key].format(x + 0.0)
        if key == "time_s":
            s = s.rstrip("0").rstrip(".")
        return "0" if float(s) == 0.0 else s

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(table.keys())
        for row in zip(*table.values()):
            w.writerow([text(k, x) for k, x in zip(table, row)])


def solve(simulation, cell, load, ambient_c):
    kelvin = ambient_c + KELVIN
    inputs = {"Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin}
    if load in START_SOC:
        t, _ = drive()
        return simulation.solve(t, inputs=inputs)
    rate = C_RATES[load]
    inputs["Current function [A]"] = rate * cell.nominal
    return simulation.solve([0, 1.5 * 3600 / rate], inputs=inputs)


def run(simulation, cell, model_name, load, ambient_c, hysteresis=False):
    """Columns, stop reason and, for the SPMe, the smallest electrolyte concentration."""
    solution = solve(simulation, cell, load, ambient_c)
    end = float(solution.t[-1])
    if load in START_SOC:
        t = np.arange(0.0, np.floor(end + 1e-9) + 1.0)
        t = t if end - t[-1] < 1e-6 else np.append(t, end)
    else:
        t = sample_times(end)
    low = f"{electrolyte_min(solution, t):.1f}" if model_name == "SPMe" else ""
    return columns(solution, t, model_name, hysteresis), stop_reason(solution), low


def run_there_and_back(cell, ambient_c, options):
    """1C discharge to the lower limit, 10 min rest, 1C charge to the upper limit."""
    base = build(cell, "SPMe", "1c", options)
    step = pybamm.step
    amps = cell.nominal
    plan = [step.current(amps, termination=f"{cell.low} V", duration=7200, period=0.2),
            step.current(0, duration=600, period=0.2),
            step.current(-amps, termination=f"{cell.high} V", duration=7200, period=0.2)]
    values = base.parameter_values.copy()
    kelvin = ambient_c + KELVIN
    values.update({"Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin, "Current function [A]": amps})
    simulation = pybamm.Simulation(
        base.model, parameter_values=values, solver=base.solver, var_pts=base.var_pts,
        submesh_types=base.submesh_types, experiment=pybamm.Experiment(plan))
    whole = simulation.solve(calc_esoh=False)
    parts, lows = [], []
    for part in whole.cycles:
        first, last = float(part.t[0]), float(part.t[-1])
        t = first + sample_times(last - first)
        t = np.minimum(t, last)
        parts.append(columns(part, t, "SPMe", True))
        lows.append(electrolyte_min(part, t))
    table = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    return table, "upper_voltage_limit" if abs(table["voltage_v"][-1] - cell.high) < 1e-4 else "end", f"{min(lows):.1f}"


def run_heat_of_mixing(cell, ambient_c):
    """1C with the heat of mixing. CasADi cannot differentiate the cubic interpolant of the graphite potential twice, so
    no Jacobian is built and SciPy's BDF method solves this run."""
    base = build(cell, "SPMe", "1c", {"heat of mixing": "true"})
    base.model.use_jacobian = False
    solver = pybamm.ScipySolver(method="BDF", rtol=TOLERANCES[0], atol=TOLERANCES[1])
    kelvin = ambient_c + KELVIN
    inputs = {"Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin, "Current function [A]": cell.nominal}

    def solved(times):
        simulation = pybamm.Simulation(
            base.model, parameter_values=base.parameter_values, solver=solver, var_pts=base.var_pts,
            submesh_types=base.submesh_types)
        return simulation.solve(times, inputs=inputs)

    end = float(solved([0.0, 7200.0]).t[-1])
    t = sample_times(end)
    # this solver only keeps the times that it is asked for
    solution = solved(np.append(t[:-1], end + 10.0))
    t[-1] = float(solution.t[-1])
    return columns(solution, t, "SPMe", False), stop_reason(solution), f"{electrolyte_min(solution, t):.1f}"


# Parameters --------------------------------------------------------------------------------------------------------

def describe(cell):
    """Every scalar of a set, as PyBaMM uses it, and samples of its functions."""
    values = cell.values
    param = pybamm.LithiumIonParameters({"thermal": "lumped"})
    scalar = pybamm.Scalar
    number = lambda symbol: float(np.ravel(values.evaluate(symbol))[0])
    plain = lambda name: float(values[name])
    reference = plain("Reference temperature [K]")
    c_e0 = plain("Initial concentration in electrolyte [mol.m-3]")
    temperatures = [263.15, 298.15, 318.15]
    pairs = plain("Number of electrodes connected in parallel to make a cell")
    area = plain("Electrode height [m]") * plain("Electrode width [m]")
    out = {
        "set": cell.name, "pybamm_set": cells.SETS[cell.name], "pybamm_version": pybamm.__version__,
        "nominal_capacity_ah": cell.nominal,
        "voltage_limits_v": [cell.low, cell.high], "voltage_limits_shipped_v": cell.shipped_limits,
        "electrode_area_m2": area, "electrode_pairs": pairs,
        "cells_in_series": plain("Number of cells connected in series to make a battery"),
        "contact_resistance_ohm": cell.contact,
        "reference_temperature_k": reference,
        "faraday_c_per_mol": float(pybamm.constants.F.value), "gas_j_per_mol_k": float(pybamm.constants.R.value),
    }
    for side, p in (("negative", param.n), ("positive", param.p)):
        big = side.capitalize()
        porosity = plain(f"{big} electrode porosity")
        c_max = plain(f"Maximum concentration in {side} electrode [mol.m-3]")
        radius = plain(f"{big} particle radius [m]")
        active = plain(f"{big} electrode active material volume fraction")
        thickness = plain(f"{big} electrode thickness [m]")
        tor_s = (1 - porosity) ** plain(f"{big} electrode Bruggeman coefficient (electrode)")
        sigma = [number(p.sigma(scalar(0.5), scalar(t))) for t in temperatures]
        key = cells.NEGATIVE_START if side == "negative" else cells.POSITIVE_START
        out[side] = {
            "thickness_m": thickness, "porosity": porosity, "active_fraction": active, "particle_radius_m": radius,
            "surface_area_per_volume_1_per_m": 3 * active / radius,
            "maximum_concentration_mol_per_m3": c_max,
            "electrolyte_transport_efficiency":
                porosity ** plain(f"{big} electrode Bruggeman coefficient (electrolyte)"),
            "solid_transport_efficiency": tor_s,
            "solid_conductivity_s_per_m": sigma[1],
            "effective_solid_conductivity_s_per_m": sigma[1] * tor_s,
            "effective_solid_conductivity_at_263_298_318_k": [x * tor_s for x in sigma],
            "charge_transfer_coefficient": plain(f"{big} electrode charge transfer coefficient"),
            "electrode_capacity_ah": area * pairs * thickness * active * c_max * FARADAY / 3600,
            "initial_concentration_shipped_mol_per_m3": cell.shipped_start[key],
            "initial_concentration_full_mol_per_m3": cell.start[1.0][key],
            "initial_concentration_80_mol_per_m3": cell.start[START_SOC_DRIVE][key],
            "initial_concentration_50_mol_per_m3": cell.start[START_SOC["us06_soc50"]][key],
            "initial_concentration_empty_mol_per_m3": cell.start[0.0][key],
            "current_collector_thickness_m": plain(f"{big} current collector thickness [m]"),
            "current_collector_conductivity_s_per_m": plain(f"{big} current collector conductivity [S.m-1]"),
        }
    porosity = plain("Separator porosity")
    out["separator"] = {
        "thickness_m": plain("Separator thickness [m]"), "porosity": porosity,
        "electrolyte_transport_efficiency": porosity ** plain("Separator Bruggeman coefficient (electrolyte)"),
    }
    c_e, T = scalar(c_e0), scalar(298.15)
    out["electrolyte"] = {
        "initial_concentration_mol_per_m3": c_e0,
        "transference_number": number(param.t_plus(c_e, T)),
        "transference_number_is_constant": not callable(values["Cation transference number"]),
        "thermodynamic_factor": number(param.thermodynamic_factor(c_e, T)),
        "thermodynamic_factor_is_constant": not callable(values["Thermodynamic factor"]),
    }
    volume = plain("Cell volume [m3]")
    cooling = plain("Cell cooling surface area [m2]")
    h = plain("Total heat transfer coefficient [W.m-2.K-1]")
    at = [263.15, 273.15, 283.15, 298.15, 308.15, 318.15, 333.15]
    rho_c = [number(param.therm.rho_c_p_eff(scalar(t))) for t in at]
    out["thermal"] = {
        "cell_volume_m3": volume, "cooling_area_m2": cooling, "heat_transfer_w_per_m2_k": h,
        "heat_transfer_w_per_k": h * cooling,
        "volumetric_heat_capacity_j_per_m3_k": rho_c[at.index(298.15)],
        "heat_capacity_j_per_k": rho_c[at.index(298.15)] * volume,
        "heat_capacity_over_temperature": {
            "temperature_k": at, "heat_capacity_j_per_k": [x * volume for x in rho_c]},
    }
    if max(rho_c) - min(rho_c) > 1e-9 * max(rho_c):
        many = np.linspace(253.15, 343.15, 91)
        fit = np.polyfit(many - 298.15, [number(param.therm.rho_c_p_eff(scalar(t))) * volume for t in many], 3)[::-1]
        out["thermal"]["heat_capacity_cubic_in_t_minus_298_15_j_per_k"] = fit.tolist()
    # Samples of the functions, with everything that PyBaMM adds to them (ends of the OCP, regularised powers).
    x = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995]
    functions = {"stoichiometry": x, "temperature_k": temperatures, "electrolyte_mol_per_m3": c_e0}
    # PyBaMM regularises powers of states only, so the exchange current takes its concentrations from a state vector.
    states = [pybamm.StateVector(slice(k, k + 1)) for k in (0, 1)]
    for side, p in (("negative", param.n), ("positive", param.p)):
        c_max = out[side]["maximum_concentration_mol_per_m3"]
        exchange = [values.process_symbol(p.prim.j0(*states, scalar(t))) for t in temperatures]
        functions[side] = {
            "ocp_at_reference_v": [number(p.prim.U(scalar(s), scalar(reference))) for s in x],
            "entropic_v_per_k": [number(p.prim.dUdT(scalar(s))) for s in x],
            "diffusivity_m2_per_s": [[number(p.prim.D(scalar(s * c_max), scalar(t))) for s in x]
                                     for t in temperatures],
            "exchange_current_a_per_m2": [[float(np.ravel(j.evaluate(y=np.array([[c_e0], [s * c_max]])))[0]) for s in x]
                                          for j in exchange],
        }
    # A potential given as a table, if there is one: PyBaMM puts a not-a-knot spline through it if it is cubic.
    for side, p in (("negative", param.n), ("positive", param.p)):
        for node in values.process_symbol(p.prim.U(states[0], scalar(reference))).pre_order():
            if isinstance(node, pybamm.Interpolant):
                out[side]["ocp_table"] = {
                    "interpolation": node.interpolator, "stoichiometry": np.asarray(node.x[0]).tolist(),
                    "potential_v": np.asarray(node.y).tolist()}
    c = [200.0, 500.0, 800.0, 1000.0, 1200.0, 1500.0, 2000.0]
    sample = lambda f: [[number(f(scalar(v), scalar(t))) for v in c] for t in temperatures]
    functions["electrolyte"] = {
        "concentration_mol_per_m3": c, "diffusivity_m2_per_s": sample(param.D_e),
        "conductivity_s_per_m": sample(param.kappa_e), "transference_number": sample(param.t_plus),
        "thermodynamic_factor": sample(param.thermodynamic_factor),
    }
    out["function_samples"] = functions
    if cell.name == "lfp_prada_t":
        out["assumed"] = {
            "arrhenius_reference_k": cells.LFP_REFERENCE_K, "activation_energies_j_per_mol": cells.LFP_ACTIVATION,
            "hysteresis_half_gap_v": cells.HYSTERESIS_HALF_V, "hysteresis_decay_rate": cells.HYSTERESIS_DECAY,
            "hysteresis_start_state": 0.0, "completed_from_chen2020": {k: float(values[k]) for k in cell.completed},
        }
    return out


# All of it ---------------------------------------------------------------------------------------------------------

def read_index():
    path = OUT / "index.csv"
    if not path.exists():
        return {}
    with path.open() as f:
        return {tuple(r[k] for k in INDEX[:4]): r for r in csv.DictReader(f)}


def write_index(index):
    orders = [list(cells.SETS), ["SPMe", "DFN"]]
    key = lambda k: (orders[0].index(k[0]), orders[1].index(k[1]), k[2], float(k[3]))
    with (OUT / "index.csv").open("w", newline="") as f:
        w = csv.DictWriter(f, INDEX, lineterminator="\n")
        w.writeheader()
        for k in sorted(index, key=key):
            w.writerow(index[k])


def file_of(name, model_name, load, ambient_c):
    tag = next(k for k, v in AMBIENT.items() if v == ambient_c)
    return OUT / name / f"{model_name.lower()}_{load}_{tag}.csv"


def compare(index):
    """Enters the voltage RMSE between DFN and SPMe, over the common time at the times of the SPMe run."""
    load_table = lambda p: np.loadtxt(p, delimiter=",", skiprows=1, usecols=(0, 2), ndmin=2)
    for (name, model_name, load, ambient), row in index.items():
        other = file_of(name, "DFN", load, float(ambient))
        if model_name != "SPMe" or not other.exists() or int(row["rows"]) < 2:
            continue
        a, b = load_table(file_of(name, "SPMe", load, float(ambient))), load_table(other)
        end = min(a[-1, 0], b[-1, 0])
        if end <= 0.0:
            continue
        # equally weighted in time
        t = np.linspace(0.0, end, 2001)
        error = np.interp(t, a[:, 0], a[:, 1]) - np.interp(t, b[:, 0], b[:, 1])
        row["dfn_rmse_mv"] = f"{1e3 * np.sqrt(np.mean(error ** 2)):.3f}"


def enter(index, cell, model_name, load, ambient_c, make):
    key = (cell.name, model_name, load, f"{ambient_c:g}")
    path = file_of(cell.name, model_name, load, ambient_c)
    started = time.perf_counter()
    row = dict(zip(INDEX, [*key, 0, "", "", "", "", ""]))
    try:
        table, why, low = make()
        write(path, table)
        row.update(rows=len(table["time_s"]), final_time_s=f"{table['time_s'][-1]:.6g}",
                   final_discharge_ah=f"{table['discharge_ah'][-1]:.6f}", stop_reason=why,
                   electrolyte_min_mol_per_m3=low)
    except pybamm.SolverError as error:
        path.unlink(missing_ok=True)
        text = " ".join(str(error).split())
        at_start = "are non-positive at initial conditions" in text or "events" in text.lower()
        row["stop_reason"] = "limit_violated_at_start" if at_start else "solver_failed"
        print("   ", text[:200], flush=True)
    index[key] = row
    print(*key, row["rows"], row["final_time_s"], row["final_discharge_ah"], row["stop_reason"],
          f"{time.perf_counter() - started:.1f} s", flush=True)


def generate(names, models):
    OUT.mkdir(parents=True, exist_ok=True)
    drive()
    for model_name in models:
        for name in names:
            index = read_index()
            cell = Cell(name)
            if model_name == "SPMe":
                with (OUT / f"{name}.parameters.json").open("w") as f:
                    json.dump(describe(cell), f, indent=1)
                    f.write("\n")
            constant, driven = build(cell, model_name, "1c"), build(cell, model_name, "us06")
            for ambient_c in AMBIENT.values():
                for load in [*C_RATES, "us06"]:
                    simulation = driven if load == "us06" else constant
                    enter(index, cell, model_name, load, ambient_c,
                          lambda: run(simulation, cell, model_name, load, ambient_c))
            # Where the drive from 80 % meets a voltage limit, it runs from 50 % as well.
            for ambient_c in AMBIENT.values():
                if index[(name, model_name, "us06", f"{ambient_c:g}")]["stop_reason"] != "end":
                    enter(index, cell, model_name, "us06_soc50", ambient_c, lambda: run(
                        build(cell, model_name, "us06_soc50"), cell, model_name, "us06_soc50", ambient_c))
            if model_name == "SPMe" and name == "lfp_prada_t":
                options = {"open-circuit potential": ("single", "one-state hysteresis")}
                enter(index, cell, "SPMe", "us06_hysteresis", 25.0, lambda: run(
                    build(cell, "SPMe", "us06", options), cell, "SPMe", "us06", 25.0, hysteresis=True))
                enter(index, cell, "SPMe", "1c_rest_charge_hysteresis", 25.0,
                      lambda: run_there_and_back(cell, 25.0, options))
            if model_name == "SPMe" and name == "OKane2022":
                enter(index, cell, "SPMe", "1c_heat_of_mixing", 25.0, lambda: run_heat_of_mixing(cell, 25.0))
            compare(index)
            write_index(index)


def convergence():
    """Voltage change against other meshes and tighter tolerances, up to 95 % of the shorter run."""
    usual, (rtol, atol) = MESH["SPMe"], TOLERANCES
    x, r, stretch = usual
    trials = {"r doubled": (x, 2 * r, stretch), "r uniform, 800": (x, 800, None),
              "x doubled": (tuple(2 * n for n in x), r, stretch), "x 30 20 30, r 60": ((30, 20, 30), 60, stretch),
              "x 30 20 30, r 60 uniform": ((30, 20, 30), 60, None)}
    for name, load, ambient_c in [("OKane2022", "1c", 25.0), ("OKane2022", "2c", -10.0), ("NCA_Kim2011", "2c", 25.0),
                                  ("lfp_prada_t", "2c", 25.0), ("lfp_prada_t", "us06", -10.0)]:
        cell = Cell(name)
        tables = {}
        for label, mesh, tol in [("usual", usual, TOLERANCES), ("tolerances / 100", usual, (rtol / 100, atol / 100)),
                                 *((k, m, TOLERANCES) for k, m in trials.items())]:
            try:
                tables[label] = solve(build(cell, "SPMe", load, mesh=mesh, tolerances=tol), cell, load, ambient_c)
            except pybamm.SolverError as error:
                print(name, load, ambient_c, label, str(error)[:100])
        for label, other in list(tables.items())[1:]:
            end = 0.95 * min(other.t[-1], tables["usual"].t[-1])
            t = np.unique(np.concatenate([[0.0], np.geomspace(1e-2, 1.0, 20), np.linspace(1.0, end, 500)]))
            error = 1e3 * np.abs(tables["usual"][V](t) - other[V](t))
            late = t >= 1.0
            print(f"{name} {load} {ambient_c:g} degC, {label}: after 1 s at most {error[late].max():.4f} mV, "
                  f"RMS {np.sqrt(np.mean(error[late] ** 2)):.4f} mV; before at most {error[~late].max():.4f} mV; "
                  f"end {other.t[-1] - tables['usual'].t[-1]:+.4f} s", flush=True)


def split():
    """Parts of the SPMe voltage of OKane2022, 1C, 25 degC, at 1000 s."""
    cell = Cell("OKane2022")
    solution = solve(build(cell, "SPMe", "1c"), cell, "1c", 25.0)
    names = [V, "X-averaged negative particle surface stoichiometry", "X-averaged positive particle surface stoichiometry",
             TEMPERATURE,
             "X-averaged positive electrode open-circuit potential [V]",
             "X-averaged negative electrode open-circuit potential [V]",
             "X-averaged positive electrode reaction overpotential [V]",
             "X-averaged negative electrode reaction overpotential [V]",
             "X-averaged concentration overpotential [V]", "X-averaged electrolyte ohmic losses [V]",
             "X-averaged solid phase ohmic losses [V]",
             "X-averaged positive electrode ohmic losses [V]", "X-averaged negative electrode ohmic losses [V]",
             "X-averaged positive electrode exchange current density [A.m-2]",
             "X-averaged negative electrode exchange current density [A.m-2]",
             "X-averaged positive electrode interfacial current density [A.m-2]",
             "X-averaged negative electrode interfacial current density [A.m-2]",
             "X-averaged electrolyte concentration [mol.m-3]", "X-averaged negative electrolyte concentration [mol.m-3]",
             "X-averaged separator electrolyte concentration [mol.m-3]",
             "X-averaged positive electrolyte concentration [mol.m-3]",
             "Negative electrode surface potential difference at separator interface [V]",
             "Ohmic heating [W]", "Irreversible electrochemical heating [W]", "Reversible heating [W]",
             "Total heating [W]", "Surface total cooling [W]"]
    got = {}
    for n in names:
        try:
            got[n] = float(np.ravel(solution[n](1000.0))[0])
            print(f"{got[n]:.9g}  {n}")
        except KeyError as error:
            print("no", n, str(error)[:80])
    parts = (got[names[4]] - got[names[5]] + got[names[6]] - got[names[7]] + got[names[8]] + got[names[9]]
             + got[names[10]])
    print(f"{parts:.9f}  sum U_p - U_n + eta_p - eta_n + concentration + electrolyte + solid")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=list(cells.SETS), choices=list(cells.SETS))
    parser.add_argument("--models", nargs="*", default=["SPMe", "DFN"], choices=["SPMe", "DFN"])
    parser.add_argument("--convergence", action="store_true", help="only compare meshes and tolerances")
    parser.add_argument("--split", action="store_true", help="only print the parts of one voltage")
    chosen = parser.parse_args()
    if chosen.convergence:
        convergence()
    elif chosen.split:
        split()
    else:
        generate(chosen.sets, chosen.models)
