//! One cell: [`CellEstimator`] (SOC, capacity, resistance), and its SOC filter alone.

use bms_core::cell::{CellModel, CellTables};
use bms_core::estimator::{CellEstimate, CellEstimator, CellState};
use bms_core::measurement::Measurement;
use bms_core::soc::{Estimate, SocEstimator};
use bms_core::store::Stored;
use bms_core::tuning::Tuning;

use super::Unit;
use crate::cells::{lfp_bpx, nmc_m50};
use crate::digest::Digest;
use crate::record::Record;
use crate::search::Random;

/// The chemistry, at compile time.
pub trait Chemistry: Clone {
    /// Name of the program.
    const NAME: &'static str;
    /// Tables.
    const TABLES: CellTables<'static>;
    /// Constants of the filter.
    const TUNING: &'static Tuning;
}

/// An NMC cell.
#[derive(Debug, Clone)]
pub struct Nmc;
/// An LFP cell.
#[derive(Debug, Clone)]
pub struct Lfp;

impl Chemistry for Nmc {
    const NAME: &'static str = "cell_nmc";
    const TABLES: CellTables<'static> = nmc_m50::CELL;
    const TUNING: &'static Tuning = &Tuning::NMC;
}

impl Chemistry for Lfp {
    const NAME: &'static str = "cell_lfp";
    const TABLES: CellTables<'static> = lfp_bpx::CELL;
    const TUNING: &'static Tuning = &Tuning::LFP;
}

fn measurement(record: &Record) -> Measurement {
    Measurement::new(record.voltage_v, record.current_a, record.temperature_c)
        .with_mean_current(record.mean_current_a)
}

fn disturb(sample: &mut Measurement, dt_s: &mut f32, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let [mut v, mut i, mut t] =
            [sample.voltage_v, sample.current_a, sample.temperature_c].map(|r| r.valid().unwrap_or(f32::NAN));
        let mut mean = sample.mean_current_a.valid().unwrap_or(f32::NAN);
        let mut open = sample.contactors_open;
        match random.below(12) {
            0 => v = random.within(1.5, 4.5),
            1 | 2 => v += random.within(-0.1, 0.1),
            3 => i = random.within(-15.0, 15.0),
            4 => mean = random.within(-15.0, 15.0),
            5 => t = random.within(-40.0, 80.0),
            6 => t += random.within(-2.0, 2.0),
            7 => open = !open,
            8 => *dt_s = *[0.0, 0.1, 1.0, 10.0, 60.0, 3600.0].get(random.below(6) as usize).unwrap_or(&1.0),
            9 => v = f32::from_bits(random.bits()),
            10 => i = f32::from_bits(random.bits()),
            _ => mean = f32::NAN,
        }
        *sample = Measurement::new(v, i, t).with_mean_current(mean).with_contactors_open(open);
    }
}

/// Everything of one cell.
#[derive(Debug, Clone)]
pub struct Cell<C: Chemistry> {
    estimator: CellEstimator<'static>,
    sample: Measurement,
    dt_s: f32,
    out: CellEstimate,
    chemistry: core::marker::PhantomData<C>,
}

impl<C: Chemistry> Unit for Cell<C> {
    const NAME: &'static str = C::NAME;
    const CELLS: u32 = 1;
    const RAM: u32 = size_of::<CellEstimator<'static>>() as u32;
    type Models = CellModel<'static>;

    fn models() -> Option<Self::Models> {
        CellModel::new(C::TABLES).ok()
    }

    fn new(models: &'static Self::Models, soc: f32) -> Option<Self> {
        let mut estimator = CellEstimator::new(models, C::TUNING, soc).ok()?;
        let sample = Measurement::default();
        let out = estimator.step(&sample, 0.0);
        let estimator = CellEstimator::new(models, C::TUNING, soc).ok()?;
        Some(Self { estimator, sample, dt_s: 0.0, out, chemistry: core::marker::PhantomData })
    }

    fn prepare(&mut self, record: &Record) {
        (self.sample, self.dt_s) = (measurement(record), record.dt_s);
    }

    fn disturb(&mut self, random: &mut Random) {
        disturb(&mut self.sample, &mut self.dt_s, random);
    }

    fn step(&mut self) {
        self.out = self.estimator.step(&self.sample, self.dt_s);
    }

    fn digest(&self, learnt: bool) -> u32 {
        let mut d = Digest::default();
        d.estimate(&self.out.filter);
        for e in [
            &self.out.soc,
            &self.out.soh_q,
            &self.out.soh_r,
            &self.out.capacity_ah,
            &self.out.current_offset_a,
        ] {
            d.estimated(e);
        }
        if learnt {
            d.stored(&self.estimator.state(), &mut [0; 4 * CellState::ENCODED_LEN.div_ceil(4)]);
        }
        d.0
    }

    fn soc(&self) -> f32 {
        self.out.soc.value
    }
}

/// The SOC filter of one NMC cell alone.
#[derive(Debug, Clone)]
pub struct Filter {
    estimator: SocEstimator<'static>,
    sample: Measurement,
    dt_s: f32,
    out: Estimate,
}

impl Unit for Filter {
    const NAME: &'static str = "filter";
    const CELLS: u32 = 1;
    const RAM: u32 = size_of::<SocEstimator<'static>>() as u32;
    type Models = CellModel<'static>;

    fn models() -> Option<Self::Models> {
        CellModel::new(Nmc::TABLES).ok()
    }

    fn new(models: &'static Self::Models, soc: f32) -> Option<Self> {
        let estimator = SocEstimator::new(models, Nmc::TUNING, Nmc::TABLES.capacity_ah, soc).ok()?;
        Some(Self { estimator, sample: Measurement::default(), dt_s: 0.0, out: Estimate::default() })
    }

    fn prepare(&mut self, record: &Record) {
        (self.sample, self.dt_s) = (measurement(record), record.dt_s);
    }

    fn disturb(&mut self, random: &mut Random) {
        disturb(&mut self.sample, &mut self.dt_s, random);
    }

    fn step(&mut self) {
        self.out = self.estimator.step(&self.sample, self.dt_s);
        #[cfg(feature = "break-with-index")]
        {
            self.dt_s = [0.0, 1.0][self.out.soc.value.to_bits() as usize];
        }
    }

    fn digest(&self, learnt: bool) -> u32 {
        let mut d = Digest::default();
        d.estimate(&self.out);
        if learnt {
            d.stored(&self.estimator.state(), &mut [0; 4 * bms_core::soc::SocState::ENCODED_LEN.div_ceil(4)]);
        }
        d.0
    }

    fn soc(&self) -> f32 {
        self.out.soc.value
    }
}
