//! Checks of a pack file: every number, and what must fit together.

use std::collections::BTreeSet;

use super::plant::{CIRCUITS, SUPERCAPS};
use super::{Arrangement, Balancing, PackFile};
use crate::plants::PLANTS;

/// Key, and what is wrong with it.
type Problem = (&'static str, String);

const MOST: usize = 1000;

fn expect(ok: bool, key: &'static str, problem: impl FnOnce() -> String) -> Result<(), Problem> {
    if ok { Ok(()) } else { Err((key, problem())) }
}

fn positive(key: &'static str, v: f64) -> Result<(), Problem> {
    expect(v.is_finite() && v > 0.0, key, || format!("{v} is no number above 0"))
}

fn not_negative(key: &'static str, v: f64) -> Result<(), Problem> {
    expect(v.is_finite() && v >= 0.0, key, || format!("{v} is no number from 0 up"))
}

fn share(key: &'static str, v: f64) -> Result<(), Problem> {
    expect(v > 0.0 && v <= 1.0, key, || format!("{v} is not above 0 and at most 1"))
}

fn temperature(key: &'static str, v: f64) -> Result<(), Problem> {
    expect((-100.0..=200.0).contains(&v), key, || format!("{v} is no temperature in -100..200 degC"))
}

fn ascending(key: &'static str, [low, high]: [f64; 2]) -> Result<(), Problem> {
    expect(low.is_finite() && high.is_finite() && low < high, key, || {
        format!("[{low}, {high}] is not a lower and a higher number")
    })
}

fn count(key: &'static str, n: usize) -> Result<(), Problem> {
    expect((1..=MOST).contains(&n), key, || format!("{n} is not in 1..={MOST}"))
}

/// Checks `positive` or `not_negative` of fields of one table: the key in the message is the field's name.
macro_rules! each {
    ($check:ident, $table:literal, $of:expr, $($field:ident),+) => {
        $($check(concat!($table, ".", stringify!($field)), $of.$field)?;)+
    };
}

impl PackFile {
    /// The first value that cannot be.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.check_cell()?;
        self.check_layout()?;
        let s = &self.spread;
        each!(not_negative, "spread", s, soc_std, temperature_std_k);
        each!(not_negative, "spread", s, self_discharge_a_per_ah, self_discharge_std_a_per_ah);
        for (key, v) in [
            ("spread.capacity_std", s.capacity_std),
            ("spread.resistance_std", s.resistance_std),
            ("spread.film_std", s.film_std),
            ("spread.contact_std", s.contact_std),
            ("spread.build_std", s.build_std),
        ] {
            expect((0.0..=0.3).contains(&v), key, || format!("{v} is not in 0..=0.3"))?;
        }
        let e = &self.electrical;
        each!(not_negative, "electrical", e, tab_ohm, busbar_ohm, cable_ohm, contactor_ohm, fuse_ohm);
        each!(positive, "electrical", e, precharge_ohm, link_f, fuse_rated_a, fuse_i2t_a2s);
        each!(positive, "electrical", e, isolation_positive_ohm, isolation_negative_ohm);
        self.check_thermal()?;
        self.check_balancing()?;
        self.check_sensors()?;
        self.check_limits()?;
        let m = &self.mass;
        each!(not_negative, "mass", m, housing_kg, cooling_kg, coolant_kg, bms_kg, busbars_kg, contactors_kg);
        each!(not_negative, "mass", m, other_kg);
        m.volume_l.map_or(Ok(()), |v| positive("mass.volume_l", v))
    }

    fn check_cell(&self) -> Result<(), Problem> {
        let c = &self.cell;
        let plants: Vec<&str> = PLANTS.iter().map(|p| p.name).collect();
        let kinds: [(&'static str, &Option<String>, &[&str]); 3] = [
            ("cell.model", &c.model, &plants),
            ("cell.circuit", &c.circuit, &CIRCUITS),
            ("cell.supercap", &c.supercap, &SUPERCAPS),
        ];
        let given = kinds.iter().filter(|(_, name, _)| name.is_some()).count();
        expect(given == 1, "cell", || {
            format!("just one of `model`, `circuit` and `supercap` must be given, not {given} of them")
        })?;
        for (key, name, known) in kinds {
            if let Some(name) = name {
                expect(known.contains(&name.as_str()), key, || {
                    format!("`{name}` is not known; there are {}", known.join(", "))
                })?;
            }
        }
        each!(positive, "cell", c, size, mass_kg, core_j_per_k, surface_j_per_k, core_surface_w_per_k);
        c.nominal_ah.map_or(Ok(()), |ah| positive("cell.nominal_ah", ah))?;
        expect(c.nominal_ah.is_none() || c.model.is_some(), "cell.nominal_ah", || {
            "is for physics plants; circuits and supercapacitors have their measured capacity".into()
        })?;
        for side in c.dimensions_mm.into_iter().flatten() {
            positive("cell.dimensions_mm", side)?;
        }
        Ok(())
    }

    fn check_layout(&self) -> Result<(), Problem> {
        let l = &self.layout;
        each!(count, "layout", l, series, parallel, modules);
        expect(l.series.is_multiple_of(l.modules), "layout.modules", || {
            format!("{} modules cannot share {} groups in series evenly", l.modules, l.series)
        })
    }

    fn check_thermal(&self) -> Result<(), Problem> {
        let t = &self.thermal;
        each!(not_negative, "thermal", t, neighbour_w_per_k, module_gap_w_per_k);
        each!(not_negative, "thermal", t, surface_to_ambient_w_per_k, end_to_ambient_w_per_k);
        if let Some(f) = &t.films {
            each!(positive, "thermal.films", f, module_max_w);
        }
        match (&t.plates, &t.coolant) {
            (None, None) => return Ok(()),
            (Some(_), None) => return Err(("thermal.coolant", "is missing, and there are plates".into())),
            (None, Some(_)) => return Err(("thermal.plates", "are missing, and there is coolant".into())),
            (Some(_), Some(_)) => {}
        }
        if let Some(p) = &t.plates {
            count("thermal.plates.cells_per_segment", p.cells_per_segment)?;
            count("thermal.plates.channels", p.channels)?;
            each!(positive, "thermal.plates", p, j_per_k, contact_w_per_k, coolant_w_per_k);
            each!(not_negative, "thermal.plates", p, to_ambient_w_per_k);
            let cells = self.layout.cells();
            expect(cells.is_multiple_of(p.cells_per_segment), "thermal.plates.cells_per_segment", || {
                format!("{cells} cells do not make whole segments of {}", p.cells_per_segment)
            })?;
            let segments = cells / p.cells_per_segment;
            expect(segments.is_multiple_of(p.channels), "thermal.plates.channels", || {
                format!("{} channels cannot share {segments} segments evenly", p.channels)
            })?;
            expect(
                p.arrangement != Arrangement::Series || p.channels == 1,
                "thermal.plates.channels",
                || format!("{} channels in series are one channel", p.channels),
            )?;
            if !p.shares.is_empty() {
                let (n, sum) = (p.shares.len(), p.shares.iter().sum::<f64>());
                expect(n == p.channels, "thermal.plates.shares", || {
                    format!("{n} shares for {} channels", p.channels)
                })?;
                p.shares.iter().try_for_each(|s| share("thermal.plates.shares", *s))?;
                expect((sum - 1.0).abs() < 1e-6, "thermal.plates.shares", || {
                    format!("their sum is {sum}, not 1")
                })?;
            }
        }
        if let Some(c) = &t.coolant {
            each!(positive, "thermal.coolant", c, j_per_l_k, channels_l, tank_l, nominal_flow_l_per_min);
            each!(positive, "thermal.coolant", c, chiller_cop);
            each!(not_negative, "thermal.coolant", c, tank_to_ambient_w_per_k, pump_w, chiller_max_w);
            each!(not_negative, "thermal.coolant", c, heater_max_w);
            each!(share, "thermal.coolant", c, heater_efficiency);
            each!(temperature, "thermal.coolant", c, chiller_min_c, heater_max_c);
            for (key, v) in [
                ("thermal.coolant.flow_exponent", c.flow_exponent),
                ("thermal.coolant.still_share", c.still_share),
            ] {
                expect((0.0..=1.0).contains(&v), key, || format!("{v} is not in 0..=1"))?;
            }
        }
        Ok(())
    }

    fn check_balancing(&self) -> Result<(), Problem> {
        match &self.balancing {
            None => Ok(()),
            Some(Balancing::Passive(b)) => {
                each!(positive, "balancing.passive", b, resistor_ohm, board_max_w, board_j_per_k);
                each!(positive, "balancing.passive", b, board_to_ambient_w_per_k);
                each!(temperature, "balancing.passive", b, board_max_c);
                each!(count, "balancing.passive", b, max_channels);
                Ok(())
            }
            Some(Balancing::Active(b)) => {
                each!(positive, "balancing.active", b, current_a);
                each!(share, "balancing.active", b, efficiency);
                each!(count, "balancing.active", b, max_channels);
                Ok(())
            }
            Some(Balancing::SwitchedCapacitors(b)) => {
                each!(positive, "balancing.switched_capacitors", b, farad, hz, path_ohm);
                Ok(())
            }
        }
    }

    fn check_sensors(&self) -> Result<(), Problem> {
        let (s, cells) = (&self.sensors, self.layout.cells());
        match s.temperature_every {
            Some(n) => {
                expect(s.temperature_cells.is_empty(), "sensors.temperature_every", || {
                    "is given beside `temperature_cells`; one of them is enough".into()
                })?;
                expect((1..=cells).contains(&n), "sensors.temperature_every", || {
                    format!("{n} is not in 1..={cells}, the number of cells")
                })?;
            }
            None => expect(!s.temperature_cells.is_empty(), "sensors.temperature_cells", || {
                "no temperature sensor: give `temperature_cells` or `temperature_every`".into()
            })?,
        }
        let mut seen = BTreeSet::new();
        for &cell in &s.temperature_cells {
            expect(cell < cells, "sensors.temperature_cells", || {
                format!("cell {cell} is not there; the last of the {cells} cells is {}", cells - 1)
            })?;
            let last = seen.last().copied();
            expect(last.is_none_or(|l| l < cell), "sensors.temperature_cells", || {
                format!("cell {cell} comes after cell {}; list each cell once, ascending", last.unwrap_or(0))
            })?;
            seen.insert(cell);
        }
        expect(!s.coolant || self.thermal.coolant.is_some(), "sensors.coolant", || {
            "there is no coolant to measure".into()
        })
    }

    fn check_limits(&self) -> Result<(), Problem> {
        let l = &self.limits;
        ascending("limits.voltage_v", l.voltage_v)?;
        ascending("limits.soc", l.soc)?;
        expect(l.soc[0] >= 0.0 && l.soc[1] <= 1.0, "limits.soc", || {
            format!("[{}, {}] is not within 0..=1", l.soc[0], l.soc[1])
        })?;
        not_negative("limits.voltage_v", l.voltage_v[0])?;
        each!(positive, "limits", l, discharge_a, charge_a, pulse_discharge_a, pulse_charge_a);
        for (key, pulse, steady) in [
            ("limits.pulse_discharge_a", l.pulse_discharge_a, l.discharge_a),
            ("limits.pulse_charge_a", l.pulse_charge_a, l.charge_a),
        ] {
            expect(pulse >= steady, key, || format!("{pulse} A is less than the {steady} A without end"))?;
        }
        for (key, range) in [
            ("limits.discharge_temperature_c", l.discharge_temperature_c),
            ("limits.charge_temperature_c", l.charge_temperature_c),
        ] {
            ascending(key, range)?;
            range.into_iter().try_for_each(|t| temperature(key, t))?;
        }
        Ok(())
    }
}
