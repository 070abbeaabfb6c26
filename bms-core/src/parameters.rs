//! Everything that a pack is set by, as one block of words in flash: tables of the cell, settings, limits.
//!
//! `bms export --pack` writes such a block from the same pack and cell files that the simulator runs, so what was verified
//! is what is flashed. [`Parameters::parse`] checks it and borrows the tables where they lie; nothing is copied but
//! settings.
//!
//! # Words
//! Little-endian words of 32 bits, aligned to four bytes.
//!
//! | Word | What |
//! |---|---|
//! | 0 | mark `BMSP` |
//! | 1 | [`VERSION`] |
//! | 2 | number of all words |
//! | 3 | checksum of the names and kinds of all settings |
//! | 4, 5, 6 | numbers of cells in series, of temperature sensors and of modules |
//! | 7 … | settings, packed as [`crate::store`] packs them, filled up to whole words |
//! | … | tables: number of entries, entries as `f32` |
//! | last | CRC-32 of all bytes before it |

use crate::balance::BalanceRules;
use crate::balance::active::ActiveLimits;
use crate::balance::passive::BalanceLimits;
use crate::bms::{BalanceMeans, Models, Settings};
use crate::cell::{CellModel, CellTables, OcvAgeing, ParameterError};
use crate::charging::{ChargePlan, ChargeSettings, CurrentTable, FullCriterion, Stage, Taper};
use crate::climate::{Band, ClimateSettings, Parts};
use crate::controller::ControllerSettings;
use crate::leak::LeakLimits;
use crate::predict::{Heat, PulseModel, Surface};
use crate::preheat::{self, CoolantHeater, Films, Means, PackFacts, PulseBounds, Pulses};
use crate::safety::contactors::OpeningRules;
use crate::safety::limits::LimitSettings;
use crate::safety::settings::{ContactorSettings, Fitted, Levels, SafetySettings, SensorGrade};
use crate::sop::{CurrentLimit, Limits, Margin};
use crate::store::{Reader, Stored, Writer, crc32, kind, stored};
use crate::temperatures::{CellPlace, Layout};
use crate::tuning::Tuning;

/// Version of the block. It goes up when a number changes its meaning without changing its name.
pub const VERSION: u32 = 1;

/// Stages that a charge plan has room for.
pub const STAGES: usize = 8;

const MARK: u32 = u32::from_le_bytes(*b"BMSP");
const HEADER: usize = 7;
/// Numbers of one cell's place.
const PLACE: usize = 5;

/// Which frozen tuning a cell takes ([`crate::tuning`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Chemistry {
    /// Nickel manganese cobalt oxide.
    Nmc = 0,
    /// Nickel cobalt aluminium oxide.
    Nca = 1,
    /// Lithium iron phosphate.
    Lfp = 2,
}

impl Chemistry {
    /// Its tuning.
    #[must_use]
    pub const fn tuning(self) -> &'static Tuning {
        match self {
            Self::Nmc => &Tuning::NMC,
            Self::Nca => &Tuning::NCA,
            Self::Lfp => &Tuning::LFP,
        }
    }
}

/// Why a block cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParametersError {
    /// It does not begin with the mark.
    NotParameters,
    /// It is of another version.
    Version(u32),
    /// It is shorter than it says, or has room for nothing.
    Length,
    /// It was made for another number of cells, sensors or modules, or for another build of the settings.
    OtherPack,
    /// Its check sum is wrong.
    Damaged,
    /// A setting is none that the quantity can have.
    Setting(&'static str),
    /// A table of the cell cannot be used.
    Cell(ParameterError),
    /// There are more stages than there is room for, or a table without its axis.
    Plan,
}

impl core::fmt::Display for ParametersError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotParameters => f.write_str("these are no parameters of a pack"),
            Self::Version(v) => write!(f, "parameters of version {v}; this build reads version {VERSION}"),
            Self::Length => f.write_str("the parameters are cut off, or longer than the room for them"),
            Self::OtherPack => {
                f.write_str("the parameters are for another number of cells, sensors or modules")
            }
            Self::Damaged => f.write_str("the parameters are damaged: wrong check sum"),
            Self::Setting(what) => write!(f, "parameters: `{what}` is not one that it can have"),
            Self::Cell(e) => e.fmt(f),
            Self::Plan => f.write_str("parameters: a charge plan has too many stages, or a table no axis"),
        }
    }
}

impl core::error::Error for ParametersError {}

impl From<ParameterError> for ParametersError {
    fn from(error: ParameterError) -> Self {
        Self::Cell(error)
    }
}

stored!(Margin {
    sigmas: f32,
    drop_share: f32,
    surface_share: f32,
    voltage_v: f32,
    error_share: f32,
    plating_v: f32,
    current_share: f32,
    temperature_k: f32,
});
stored!(CurrentLimit { pulse_a: f32, pulse_s: f32, continuous_a: f32 });
stored!(Heat { capacity_j_per_k: f32, to_ambient_w_per_k: f32, ambient_c: f32 });
stored!(Limits {
    voltage_v: [f32; 2],
    discharge: CurrentLimit,
    charge: CurrentLimit,
    soc: [f32; 2],
    temperature_max_c: f32,
    temperature_rise_k: f32,
    heat: Option<Heat>,
    margin: Margin,
});
stored!(Band { heat_below_c: f32, cool_above_c: f32 });
stored!(Parts {
    mean_loop: bool,
    spread_flow: bool,
    reversal: bool,
    feed_forward: bool,
    film_zoning: bool,
    trim: bool,
    mixing: bool,
    hold_back: bool,
});
stored!(ClimateSettings {
    driving: Band,
    fast_charge: Band,
    charging: Band,
    parked: Option<Band>,
    mix_parked: bool,
    preheat_to_c: f32,
    hysteresis_k: f32,
    largest_heated_c: f32,
    caution: f32,
    even_up_to_c: f32,
    spread_on_k: f32,
    spread_off_k: f32,
    spread_limit_k: f32,
    coldest_inlet_c: f32,
    inlet_below_k: f32,
    hottest_inlet_c: f32,
    inlet_above_k: f32,
    coolant_rise_k: f32,
    horizon_s: f32,
    pack_j_per_k: f32,
    coolant_j_per_l_k: f32,
    response_s: f32,
    integral_s: f32,
    zone_k: f32,
    reverse_earliest_s: f32,
    reverse_latest_s: f32,
    coolant_l: f32,
    reverse_gradient_k: f32,
    min_on_s: f32,
    min_off_s: f32,
    min_flow_l_per_min: f32,
    max_flow_l_per_min: f32,
    min_chiller_w: f32,
    max_chiller_w: f32,
    max_heater_w: f32,
    max_film_w: f32,
    films: u8,
    chiller_cop: f32,
    heater_efficiency: f32,
    pump_w: f32,
    parts: Parts,
});
stored!(CoolantHeater { power_w: f32, efficiency: f32, loop_j_per_k: f32 });
stored!(Films { power_w: f32, efficiency: f32 });
stored!(Pulses { current_a: f32, frequency_hz: f32, largest_ratio: f32, drive_loss: f32 });
stored!(Means { coolant: Option<CoolantHeater>, films: Option<Films>, pulses: Option<Pulses> });
stored!(PackFacts {
    series: u16,
    parallel: u16,
    cell_mass_g: f32,
    cell_j_per_k: f32,
    extra_j_per_k: f32,
    loss_w_per_k: f32,
    evening_s: f32,
});
stored!(PulseBounds { voltage_v: [f32; 2], soc: [f32; 2], margin: Margin });
type PreheatSettings = preheat::Settings;
stored!(PreheatSettings {
    pack: PackFacts,
    means: Means,
    bounds: PulseBounds,
    hysteresis_k: f32,
    hottest_c: f32,
    reserve_soc: f32,
    spread_k: [f32; 2],
    ramp_s: f32,
    minimum_s: f32,
});
stored!(BalanceRules {
    start_soc: f32,
    stop_soc: f32,
    sigmas: f32,
    period_s: f32,
    window_s: f32,
    channels: usize,
    neighbours: bool,
    power_w: f32,
    derate_c: f32,
    stop_c: f32,
    least_voltage_v: f32,
    least_soc: f32,
    allowed: [bool; 3],
});
stored!(BalanceLimits {
    rules: BalanceRules,
    bleed_ohm: f32,
    least_slope_v: f32,
    voltage_error_v: f32,
    rest_current_a: f32,
    rest_s: f32,
});
stored!(ActiveLimits {
    rules: BalanceRules,
    converter_a: f32,
    efficiency: f32,
    least_gain: f32,
    highest_voltage_v: f32,
    highest_soc: f32,
});
stored!(Stage { current_a: f32, until_soc: f32, until_v: f32 });
stored!(Taper { filter_s: f32, ahead_s: f32, band_v: f32, guard_v: f32 });
stored!(FullCriterion { below_v: f32, hold_s: f32, overpotential_v: f32 });
stored!(Levels { information: f32, warning: f32, fatal: f32 });
stored!(Fitted {
    second_current: bool,
    pack_voltage: bool,
    link_voltage: bool,
    insulation: bool,
    auxiliary_contacts: bool,
    vehicle: bool,
    flow: bool,
    heater_power: bool,
});
stored!(SensorGrade {
    cell_voltage_v: f32,
    pack_voltage_share: f32,
    current_share: f32,
    current_full_a: f32,
    temperature_k: f32,
});
stored!(ContactorSettings {
    breaking_a: f32,
    precharged_share: f32,
    precharged_a: f32,
    precharge_ms: u16,
    travel_ms: u16,
    precharges: u8,
    cool_down_s: u16,
});
stored!(SafetySettings {
    fitted: Fitted,
    grade: SensorGrade,
    period_ms: u16,
    cell_high_v: Levels,
    cell_low_v: Levels,
    deep_discharge_v: f32,
    discharge_a: Levels,
    pulse_discharge_a: f32,
    charge_a: Levels,
    pulse_charge_a: f32,
    discharge_hot_c: Levels,
    discharge_cold_c: Levels,
    charge_hot_c: Levels,
    charge_cold_c: Levels,
    spread_k: Levels,
    rise_k_per_s: [f32; 2],
    highest_working_c: f32,
    imbalance: [f32; 2],
    insulation_ohm_per_v: [f32; 2],
    cell_ohm: f32,
    capacity_ah: f32,
    board_hot_c: f32,
    contactors: ContactorSettings,
});

stored!(OpeningRules { quiet_a: f32, unload_ms: u16, unbreakable_a: f32, fuse_ms: u16 });
stored!(LimitSettings {
    horizon: u8,
    derated_share: f32,
    soc_std: [f32; 2],
    rise_a_per_s: f32,
    hold_s: f32,
    dead_band: f32,
});

/// A charge plan with room for its stages.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    stages: [Stage; STAGES],
    count: u8,
    voltage_v: f32,
    taper_a: f32,
}

stored!(Plan { stages: [Stage; STAGES], count: u8, voltage_v: f32, taper_a: f32 });

impl Plan {
    fn new(plan: &ChargePlan<'_>) -> Result<Self, ParametersError> {
        let mut stages = [Stage { current_a: 0.0, until_soc: 0.0, until_v: 0.0 }; STAGES];
        let count = plan.stages.len();
        for (place, stage) in
            stages.get_mut(..count).ok_or(ParametersError::Plan)?.iter_mut().zip(plan.stages)
        {
            *place = *stage;
        }
        Ok(Self { stages, count: count as u8, voltage_v: plan.voltage_v, taper_a: plan.taper_a })
    }

    fn borrow(&self) -> ChargePlan<'_> {
        let stages = self.stages.get(..usize::from(self.count)).unwrap_or(&self.stages);
        ChargePlan { stages, voltage_v: self.voltage_v, taper_a: self.taper_a }
    }
}

/// All settings without tables.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Flat {
    chemistry: Chemistry,
    /// Capacity of a cell or group in Ah.
    capacity_ah: f32,
    sensors: u16,
    /// The numbers of a [`Layout`] in its order.
    layout: [f32; 6],
    climate: ClimateSettings,
    preheat: Option<preheat::Settings>,
    cells_in_series: u16,
    plans: [Plan; 2],
    charge_temperature_c: [f32; 2],
    charge_margin: Margin,
    taper: Taper,
    full: FullCriterion,
    /// The other numbers of a [`ChargeSettings`] in its order.
    charge: [f32; 8],
    passive: Option<BalanceLimits>,
    active: Option<ActiveLimits>,
    limits: Limits,
    leak: Option<LeakLimits>,
    power_every_s: f32,
    safety: SafetySettings,
    opening: OpeningRules,
    published: LimitSettings,
    estimate_every_ms: u16,
    service_key: u32,
    has_pulse: bool,
    has_negative: bool,
}

impl Stored for Chemistry {
    const KIND: u32 = kind("Chemistry", &[]);
    const ENCODED_LEN: usize = 1;

    fn encode(&self, to: &mut Writer<'_>) {
        (*self as u8).encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, crate::store::Problem> {
        match u8::decode(from)? {
            0 => Ok(Self::Nmc),
            1 => Ok(Self::Nca),
            2 => Ok(Self::Lfp),
            _ => Err(crate::store::Problem::Impossible("chemistry")),
        }
    }
}

stored!(Flat {
    chemistry: Chemistry,
    capacity_ah: f32,
    sensors: u16,
    layout: [f32; 6],
    climate: ClimateSettings,
    preheat: Option<PreheatSettings>,
    cells_in_series: u16,
    plans: [Plan; 2],
    charge_temperature_c: [f32; 2],
    charge_margin: Margin,
    taper: Taper,
    full: FullCriterion,
    charge: [f32; 8],
    passive: Option<BalanceLimits>,
    active: Option<ActiveLimits>,
    limits: Limits,
    leak: Option<LeakLimits>,
    power_every_s: f32,
    safety: SafetySettings,
    opening: OpeningRules,
    published: LimitSettings,
    estimate_every_ms: u16,
    service_key: u32,
    has_pulse: bool,
    has_negative: bool,
});

const KIND: u32 = kind("Parameters", &[Flat::KIND]);
const FLAT_WORDS: usize = Flat::ENCODED_LEN.div_ceil(4);

/// A table of the cell by its field, in the order of the block.
macro_rules! tables {
    ($($name:ident),+) => {
        fn cell_slices<'t>(t: &CellTables<'t>) -> [&'t [f32]; 14] {
            [$(t.$name,)+ t.ageing.fade, t.ageing.shift_v]
        }

        fn read_cell<'a>(from: &mut Words<'a>) -> Result<CellModel<'a>, ParametersError> {
            let [capacity_ah, coulombic_efficiency, v_min, v_max, hysteresis_gamma] = from.numbers()?;
            $(let $name = from.table()?;)+
            let ageing = OcvAgeing { fade: from.table()?, shift_v: from.table()? };
            Ok(CellModel::new(CellTables {
                capacity_ah, coulombic_efficiency, v_min, v_max, hysteresis_gamma, $($name,)+ ageing,
            })?)
        }
    };
}
tables!(
    temperature_c,
    ocv_v,
    hysteresis_v,
    r0_ohm,
    rct_ohm,
    r1_ohm,
    tau1_s,
    r2_ohm,
    tau2_s,
    i_ct_a,
    model_error_v,
    negative_v
);

/// The words of a block that are still to be read.
struct Words<'a>(&'a [u32]);

impl<'a> Words<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u32], ParametersError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ParametersError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn table(&mut self) -> Result<&'a [f32], ParametersError> {
        let count = self.take(1)?.first().copied().unwrap_or(0);
        Ok(bytemuck::cast_slice(self.take(count as usize)?))
    }

    /// So many numbers without a count before them.
    fn row<const K: usize>(&mut self) -> Result<&'a [f32; K], ParametersError> {
        bytemuck::cast_slice(self.take(K)?).first_chunk().ok_or(ParametersError::Length)
    }

    fn numbers<const K: usize>(&mut self) -> Result<[f32; K], ParametersError> {
        self.table()?.try_into().map_err(|_| ParametersError::Length)
    }
}

/// A block that is being written.
struct Block<'b> {
    words: &'b mut [u32],
    used: usize,
}

impl Block<'_> {
    fn words(&mut self, count: usize) -> Result<&mut [u32], ParametersError> {
        let end = self.used.saturating_add(count);
        let place = self.words.get_mut(self.used..end).ok_or(ParametersError::Length)?;
        self.used = end;
        Ok(place)
    }

    fn word(&mut self, word: u32) -> Result<(), ParametersError> {
        self.words(1)?.fill(word);
        Ok(())
    }

    fn table(&mut self, table: &[f32]) -> Result<(), ParametersError> {
        self.word(u32::try_from(table.len()).map_err(|_| ParametersError::Length)?)?;
        self.numbers(table)
    }

    fn numbers(&mut self, table: &[f32]) -> Result<(), ParametersError> {
        for (place, x) in self.words(table.len())?.iter_mut().zip(table) {
            *place = x.to_bits();
        }
        Ok(())
    }

    fn cell(&mut self, model: &CellModel<'_>) -> Result<(), ParametersError> {
        let t = model.tables();
        self.table(&[t.capacity_ah, t.coulombic_efficiency, t.v_min, t.v_max, t.hysteresis_gamma])?;
        cell_slices(t).into_iter().try_for_each(|table| self.table(table))
    }

    fn pulse(&mut self, model: &PulseModel<'_>) -> Result<(), ParametersError> {
        self.cell(model.cell)?;
        self.table(model.surface.temperature_c)?;
        self.table(model.surface.gain.as_flattened())
    }
}

fn read_surface<'a>(from: &mut Words<'a>) -> Result<Surface<'a>, ParametersError> {
    let temperature_c = from.table()?;
    let (gain, rest) = from.table()?.as_chunks::<2>();
    let fits = rest.is_empty() && gain.len() == temperature_c.len();
    if fits { Ok(Surface { temperature_c, gain }) } else { Err(ParametersError::Setting("surface")) }
}

/// Writes what a controller of so many modules is made with into `words`; returns how many were used.
///
/// # Errors
/// [`ParametersError::Length`] if there is not enough room, [`ParametersError::Plan`] and
/// [`ParametersError::Setting`] for what a block has no place for.
pub fn write(
    models: &Models<'_>,
    chemistry: Chemistry,
    controller: &ControllerSettings<'_>,
    capacity_ah: f32,
    modules: u16,
    words: &mut [u32],
) -> Result<usize, ParametersError> {
    let settings = &controller.bms;
    let (l, c) = (&settings.layout, &settings.charge);
    let (passive, active) = match settings.balance {
        BalanceMeans::None => (None, None),
        BalanceMeans::Passive(limits) => (Some(limits), None),
        BalanceMeans::Active(limits) => (None, Some(limits)),
    };
    let own_pulse = models.pulse != PulseModel::from(models.cell);
    let flat = Flat {
        chemistry,
        capacity_ah,
        sensors: controller.sensors as u16,
        layout: [
            l.core_j_per_k,
            l.surface_j_per_k,
            l.core_surface_w_per_k,
            l.neighbour_w_per_k,
            l.coolant_j_per_l_k,
            l.sensor_offset_std_k,
        ],
        climate: settings.climate,
        preheat: settings.preheat,
        cells_in_series: c.cells_in_series,
        plans: [Plan::new(&c.normal)?, Plan::new(&c.fast)?],
        charge_temperature_c: c.temperature_c,
        charge_margin: c.margin,
        taper: c.taper,
        full: c.full,
        charge: [
            c.hysteresis_k,
            c.plating_horizon_s,
            c.restart_soc,
            c.rise_a_per_s,
            c.rise_after_s,
            c.charger_min_a,
            c.charger_timeout_s,
            c.retry_s,
        ],
        passive,
        active,
        limits: settings.limits,
        leak: settings.leak,
        power_every_s: settings.power_every_s,
        safety: *controller.safety,
        opening: controller.opening,
        published: controller.limits,
        estimate_every_ms: controller.estimate_every_ms,
        service_key: controller.service_key,
        has_pulse: own_pulse,
        has_negative: models.negative.is_some(),
    };
    let mut block = Block { words, used: 0 };
    let [cells, places] = [l.cells.len(), l.sensor_cells.len()].map(|n| n as u32);
    for word in [MARK, VERSION, 0, KIND, cells, places, u32::from(modules)] {
        block.word(word)?;
    }
    let place = block.words(FLAT_WORDS)?;
    place.fill(0);
    flat.encode(&mut Writer::new(bytemuck::cast_slice_mut(place)));
    for p in l.cells {
        let numbers: [f32; PLACE] =
            [f32::from(p.channel), p.along, f32::from(p.module), p.to_coolant_w_per_k, p.to_ambient_w_per_k];
        block.numbers(&numbers)?;
    }
    for cell in l.sensor_cells {
        block.numbers(&[f32::from(*cell)])?;
    }
    block.cell(models.cell)?;
    if own_pulse {
        block.pulse(&models.pulse)?;
    }
    if let Some(negative) = &models.negative {
        block.pulse(negative)?;
    }
    for table in [c.limit.temperature_c, c.limit.soc, c.limit.current_a] {
        block.table(table)?;
    }
    let used = block.used + 1;
    *block.words.get_mut(2).ok_or(ParametersError::Length)? =
        u32::try_from(used).map_err(|_| ParametersError::Length)?;
    let body = block.words.get(..block.used).ok_or(ParametersError::Length)?;
    let sum = crc32(bytemuck::cast_slice(body));
    block.word(sum)?;
    Ok(used)
}

/// The parameters of a pack of `N` cells in series, `S` temperature sensors and `M` modules, read from a block.
///
/// ```
/// use bms_core::parameters::{Parameters, ParametersError};
/// // Not a block: said so, not used.
/// assert_eq!(Parameters::<4, 1, 1>::parse(&[0; 8]).unwrap_err(), ParametersError::NotParameters);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters<'a, const N: usize, const S: usize, const M: usize> {
    flat: Flat,
    places: [CellPlace; N],
    sensor_cells: [u16; S],
    cell: CellModel<'a>,
    pulse: Option<(CellModel<'a>, Surface<'a>)>,
    negative: Option<(CellModel<'a>, Surface<'a>)>,
    limit: CurrentTable<'a>,
}

impl<'a, const N: usize, const S: usize, const M: usize> Parameters<'a, N, S, M> {
    /// Reads a block, which may be followed by anything. Only settings are copied; tables stay where they are.
    ///
    /// # Errors
    /// [`ParametersError`] tells why it cannot be used.
    pub fn parse(words: &'a [u32]) -> Result<Self, ParametersError> {
        let [mark, version, count, of_kind, cells, sensors, modules] =
            *words.first_chunk::<HEADER>().ok_or(ParametersError::Length)?;
        if mark != MARK {
            return Err(ParametersError::NotParameters);
        }
        if version != VERSION {
            return Err(ParametersError::Version(version));
        }
        let block = words.get(..count as usize).ok_or(ParametersError::Length)?;
        let (sum, body) = block.split_last().ok_or(ParametersError::Length)?;
        if crc32(bytemuck::cast_slice(body)) != *sum {
            return Err(ParametersError::Damaged);
        }
        if of_kind != KIND || [cells, sensors, modules] != [N as u32, S as u32, M as u32] {
            return Err(ParametersError::OtherPack);
        }
        let mut from = Words(body);
        from.take(HEADER)?;
        let flat_words = from.take(FLAT_WORDS)?;
        let flat = Flat::decode(&mut Reader::new(bytemuck::cast_slice(flat_words)))
            .map_err(|_| ParametersError::Setting("number"))?;
        let mut places = [CellPlace {
            channel: 0,
            along: 0.0,
            module: 0,
            to_coolant_w_per_k: 0.0,
            to_ambient_w_per_k: 0.0,
        }; N];
        for place in &mut places {
            let [channel, along, module, to_coolant_w_per_k, to_ambient_w_per_k] = *from.row::<PLACE>()?;
            let (channel, module) = (channel as u8, module as u8);
            *place = CellPlace { channel, along, module, to_coolant_w_per_k, to_ambient_w_per_k };
        }
        let mut sensor_cells = [0; S];
        for cell in &mut sensor_cells {
            let [number] = *from.row::<1>()?;
            *cell = number as u16;
        }
        let cell = read_cell(&mut from)?;
        let mut electrode = |there: bool| match there {
            true => Ok::<_, ParametersError>(Some((read_cell(&mut from)?, read_surface(&mut from)?))),
            false => Ok(None),
        };
        let (pulse, negative) = (electrode(flat.has_pulse)?, electrode(flat.has_negative)?);
        let limit =
            CurrentTable { temperature_c: from.table()?, soc: from.table()?, current_a: from.table()? };
        if !from.0.is_empty() {
            return Err(ParametersError::Length);
        }
        if flat.plans.iter().any(|p| usize::from(p.count) > STAGES || p.count == 0) {
            return Err(ParametersError::Plan);
        }
        if usize::from(flat.sensors) > S {
            return Err(ParametersError::Setting("sensors"));
        }
        flat.safety.check().map_err(|_| ParametersError::Setting("safety"))?;
        Ok(Self { flat, places, sensor_cells, cell, pulse, negative, limit })
    }

    /// Models of the cell.
    #[must_use]
    pub fn models(&self) -> Models<'_> {
        Models {
            cell: &self.cell,
            pulse: self.pulse.as_ref().map_or_else(
                || PulseModel::from(&self.cell),
                |(cell, surface)| PulseModel { cell, surface: *surface },
            ),
            negative: self.negative.as_ref().map(|(cell, surface)| PulseModel { cell, surface: *surface }),
        }
    }

    /// Everything that a controller is set by.
    #[must_use]
    pub fn controller(&self) -> ControllerSettings<'_> {
        let f = &self.flat;
        ControllerSettings {
            safety: &f.safety,
            bms: self.settings(),
            sensors: f.sensors.into(),
            opening: f.opening,
            limits: f.published,
            estimate_every_ms: f.estimate_every_ms,
            service_key: f.service_key,
        }
    }

    fn settings(&self) -> Settings<'_> {
        let f = &self.flat;
        let [
            core_j_per_k,
            surface_j_per_k,
            core_surface_w_per_k,
            neighbour_w_per_k,
            coolant_j_per_l_k,
            sensor_offset_std_k,
        ] = f.layout;
        let [
            hysteresis_k,
            plating_horizon_s,
            restart_soc,
            rise_a_per_s,
            rise_after_s,
            charger_min_a,
            charger_timeout_s,
            retry_s,
        ] = f.charge;
        let [normal, fast] = &f.plans;
        Settings {
            layout: Layout {
                cells: &self.places,
                sensor_cells: &self.sensor_cells,
                core_j_per_k,
                surface_j_per_k,
                core_surface_w_per_k,
                neighbour_w_per_k,
                coolant_j_per_l_k,
                sensor_offset_std_k,
            },
            climate: f.climate,
            preheat: f.preheat,
            charge: ChargeSettings {
                cells_in_series: f.cells_in_series,
                normal: normal.borrow(),
                fast: fast.borrow(),
                limit: self.limit,
                temperature_c: f.charge_temperature_c,
                hysteresis_k,
                plating_horizon_s,
                margin: f.charge_margin,
                taper: f.taper,
                full: f.full,
                restart_soc,
                rise_a_per_s,
                rise_after_s,
                charger_min_a,
                charger_timeout_s,
                retry_s,
            },
            balance: match (f.passive, f.active) {
                (Some(limits), _) => BalanceMeans::Passive(limits),
                (None, Some(limits)) => BalanceMeans::Active(limits),
                (None, None) => BalanceMeans::None,
            },
            limits: f.limits,
            leak: f.leak,
            power_every_s: f.power_every_s,
        }
    }

    /// The frozen tuning.
    #[must_use]
    pub const fn tuning(&self) -> &'static Tuning {
        self.flat.chemistry.tuning()
    }

    /// Capacity in Ah of a new cell or group.
    #[must_use]
    pub const fn capacity_ah(&self) -> f32 {
        self.flat.capacity_ah
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bms::tests::{M, N, S, model, models, settings};
    use crate::example;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    type Small<'a> = Parameters<'a, N, S, M>;

    fn controller(cell: &CellModel<'_>) -> ControllerSettings<'static> {
        ControllerSettings::new(&example::SAFETY, settings(cell), 42)
    }

    /// A block with a negative electrode, and with the cell itself standing in for a pulse table.
    fn block() -> Vec<u32> {
        let cell = model();
        let surface = Surface { temperature_c: &[0.0, 25.0], gain: &[[0.1, 0.2], [0.3, 0.4]] };
        let models = Models { negative: Some(PulseModel { cell: &cell, surface }), ..models(&cell) };
        let mut words = vec![0; 4096];
        let used = write(&models, Chemistry::Nmc, &controller(&cell), 5.0, M as u16, &mut words);
        words.truncate(used.unwrap());
        words
    }

    #[test]
    fn what_was_written_comes_back() {
        let (words, cell) = (block(), model());
        let back = Small::parse(&words).unwrap();
        assert_eq!(back.controller(), controller(&cell));
        assert_eq!(back.models().cell, &cell);
        assert_eq!(back.models().pulse, PulseModel::from(&cell));
        let negative = back.models().negative.unwrap();
        assert_eq!((negative.cell, negative.surface.gain), (&cell, &[[0.1, 0.2], [0.3, 0.4]][..]));
        assert_eq!(back.capacity_ah(), 5.0);
        assert_eq!(back.tuning(), &Tuning::NMC);
        // Tables are not copied.
        let table = back.models().cell.tables().ocv_v.as_ptr().addr();
        assert!(words.as_ptr_range().contains(&std::ptr::without_provenance(table)));
    }

    #[test]
    fn a_block_for_another_pack_is_refused() {
        let words = block();
        assert_eq!(Parameters::<5, S, M>::parse(&words).unwrap_err(), ParametersError::OtherPack);
        assert_eq!(Parameters::<N, 1, M>::parse(&words).unwrap_err(), ParametersError::OtherPack);
        assert_eq!(Parameters::<N, S, 1>::parse(&words).unwrap_err(), ParametersError::OtherPack);
        let mut later = words;
        later[1] = VERSION + 1;
        assert_eq!(Small::parse(&later).unwrap_err(), ParametersError::Version(VERSION + 1));
    }

    #[test]
    fn too_little_room_is_said() {
        let cell = model();
        let mut words = vec![0; 300];
        let written = write(&models(&cell), Chemistry::Lfp, &controller(&cell), 5.0, M as u16, &mut words);
        assert_eq!(written, Err(ParametersError::Length));
    }

    proptest! {
        #[test]
        fn one_wrong_bit_is_found(at in 0_usize..100_000, bit in 0_u32..32) {
            let mut words = block();
            let at = at % words.len();
            words[at] ^= 1 << bit;
            prop_assert!(Small::parse(&words).is_err());
        }

        #[test]
        fn a_cut_block_is_refused(length in 0_usize..10_000) {
            let words = block();
            let length = length % words.len();
            prop_assert!(Small::parse(&words[..length]).is_err());
        }

        /// Whatever bits a block with a right check sum holds, it is read or refused.
        #[test]
        fn any_bits_are_read_or_refused(at in 4_usize..10_000, value: u32) {
            let mut words = block();
            let last = words.len() - 1;
            words[4 + at % (last - 4)] = value;
            words[last] = crc32(bytemuck::cast_slice(&words[..last]));
            if let Ok(p) = Small::parse(&words) {
                let _ = (p.controller(), p.models());
            }
        }
    }
}
