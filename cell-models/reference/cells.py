"""Parameter sets of the reference runs: five as PyBaMM ships them, and one completed by us (`lfp_prada_t`)."""
import numpy as np
import pybamm

SETS = {
    "Chen2020": "Chen2020",
    "OKane2022": "OKane2022",
    "Mohtat2020": "Mohtat2020",
    "NCA_Kim2011": "NCA_Kim2011",
    "ORegan2022": "ORegan2022",
    "lfp_prada_t": "Prada2013",
}

# Our assumptions for lfp_prada_t: activation energies in J/mol, Arrhenius' law about 298.15 K.
LFP_REFERENCE_K = 298.15
LFP_ACTIVATION = {
    "negative_diffusivity": 35000.0,
    "positive_diffusivity": 35000.0,
    "negative_exchange_current": 35000.0,
    "positive_exchange_current": 50000.0,
    "electrolyte_diffusivity": 17100.0,
    "electrolyte_conductivity": 17100.0,
}
# Activation energies that the exchange currents of Prada2013 carry already, about the same temperature.
LFP_SHIPPED = {"negative_exchange_current": 35000.0, "positive_exchange_current": 39570.0}

# Open-circuit hysteresis of the positive electrode of lfp_prada_t: half the gap between the branches, and decay rate.
HYSTERESIS_HALF_V = 0.010
HYSTERESIS_DECAY = 12.0

NEGATIVE_START = "Initial concentration in negative electrode [mol.m-3]"
POSITIVE_START = "Initial concentration in positive electrode [mol.m-3]"


def arrhenius(activation, temperature):
    return np.exp(activation / pybamm.constants.R * (1 / LFP_REFERENCE_K - 1 / temperature))


def _lfp():
    values = pybamm.ParameterValues("Prada2013")
    ea = LFP_ACTIVATION
    update = {"Reference temperature [K]": LFP_REFERENCE_K}
    for side in ("Negative", "Positive"):
        name = f"{side} particle diffusivity [m2.s-1]"
        update[name] = (lambda d, e: lambda sto, T: d * arrhenius(e, T))(
            values[name], ea[f"{side.lower()}_diffusivity"])
        name = f"{side} electrode exchange-current density [A.m-2]"
        key = f"{side.lower()}_exchange_current"
        extra = ea[key] - LFP_SHIPPED[key]
        if extra != 0.0:
            update[name] = (lambda j, e: lambda c_e, c_s, c_max, T: j(c_e, c_s, c_max, T) * arrhenius(e, T))(
                values[name], extra)
    diffusivity = values["Electrolyte diffusivity [m2.s-1]"]
    conductivity = values["Electrolyte conductivity [S.m-1]"]
    update["Electrolyte diffusivity [m2.s-1]"] = (
        lambda c_e, T: diffusivity * arrhenius(ea["electrolyte_diffusivity"], T))
    update["Electrolyte conductivity [S.m-1]"] = (
        lambda c_e, T: conductivity(c_e, T) * arrhenius(ea["electrolyte_conductivity"], T))
    # What a lumped thermal run needs and Prada2013 lacks comes from Chen2020, unchanged.
    chen = pybamm.ParameterValues("Chen2020")
    wanted = ("specific heat", "density [kg.m-3]", "thermal conductivity", "current collector")
    completed = ["Cell cooling surface area [m2]", "Cell volume [m3]", "Total heat transfer coefficient [W.m-2.K-1]"]
    completed += [k for k in chen.keys() if any(w in k for w in wanted)]
    completed = [k for k in completed if k not in values.keys()]
    update.update({k: chen[k] for k in completed})
    values.update(update, check_already_exists=False)
    return values, completed


def parameter_values(name):
    """The parameter values of a set and the names of the parameters that were completed from Chen2020."""
    if name == "lfp_prada_t":
        return _lfp()
    return pybamm.ParameterValues(SETS[name]), []


def add_hysteresis(values, start_state):
    """Gives the positive electrode two branches about its open-circuit potential."""
    potential = values["Positive electrode OCP [V]"]

    def taper(x):
        return (pybamm.tanh((x - 0.03) / 0.04) + 1) / 2 * (pybamm.tanh((0.97 - x) / 0.04) + 1) / 2

    half = HYSTERESIS_HALF_V
    values.update({
        "Positive electrode lithiation OCP [V]": lambda x: potential(x) - half * taper(x),
        "Positive electrode delithiation OCP [V]": lambda x: potential(x) + half * taper(x),
        "Positive particle lithiation hysteresis decay rate": HYSTERESIS_DECAY,
        "Positive particle delithiation hysteresis decay rate": HYSTERESIS_DECAY,
        "Initial hysteresis state in positive electrode": start_state,
    }, check_already_exists=False)
    return values
