//! The one table of all diagnoses: what is looked for, how long it must last, what is done about it and how soon.
//!
//! A monitor sees a small excess after at most [`Entry::sense_ms`] (filters; 0 where there is none). A diagnosis is
//! *pending* while its condition holds, *detected* when it held for [`Entry::debounce_ms`], and *reacts* after a further [`Entry::delay_ms`]. From the first sample that shows the fault, contactors are open after at most
//! [`Entry::reaction_time_ms`]; that this is within [`Entry::ftti_ms`] is checked when the crate is compiled.

/// Longest time between two steps of the protection in ms that the reaction times hold for.
pub const PERIOD_MS: u32 = 100;

/// Time in ms from the command to open until contactors no longer carry current, arc included.
pub const ACTUATION_MS: u32 = 50;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing; nothing is done.
    Information,
    /// Limits are lowered or a function is taken away; the pack goes on.
    Warning,
    /// The pack is switched off, or not switched on.
    Fatal,
}

/// What is done when a diagnosis reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is told, nothing more.
    Tell,
    /// Charge is derated.
    DerateCharge,
    /// Discharge is derated.
    DerateDischarge,
    /// Both are derated.
    Derate,
    /// No charge is allowed.
    StopCharge,
    /// No discharge is allowed.
    StopDischarge,
    /// No balancing.
    StopBalancing,
    /// Contactors that are open stay open; closed ones stay closed.
    StayOpen,
    /// Limits go to zero and the contactors open.
    Open,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latch {
    /// With its condition, after as long as it took to detect it.
    None,
    /// When its condition is gone and somebody has acknowledged it.
    Acknowledge,
    /// When its condition is gone and a workshop has unlocked it; kept over sleep and power loss.
    Service,
}

/// One row of the table.
///
/// ```
/// use bms_core::safety::table::Diagnosis;
/// let row = Diagnosis::CellVoltageHighFatal.entry();
/// assert!(row.reaction_time_ms() <= row.ftti_ms);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub id: Diagnosis,
    /// Its name as in the code.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Time in ms that the monitor's own filter takes at worst to see a small excess.
    pub sense_ms: u32,
    /// Time in ms for which its condition must hold.
    pub debounce_ms: u16,
    /// Further time in ms until something is done, for the load to prepare.
    pub delay_ms: u16,
    /// What is done.
    pub reaction: Reaction,
    /// How it ends.
    pub latch: Latch,
    /// Fault-tolerant time interval in ms: from the fault until harm could begin; 0 where no harm follows directly.
    pub ftti_ms: u32,
}

impl Entry {
    /// Longest time in ms from the fault until the contactors are open or the limit is withdrawn: one sample that just
    /// missed the fault, the monitor's filter, debounce, which ends with a sample, delay, which does too, and the contactor.
    #[must_use]
    pub const fn reaction_time_ms(&self) -> u32 {
        PERIOD_MS
            + self.sense_ms
            + whole_periods(self.debounce_ms)
            + whole_periods(self.delay_ms)
            + ACTUATION_MS
    }
}

const fn whole_periods(ms: u16) -> u32 {
    (ms as u32).div_ceil(PERIOD_MS) * PERIOD_MS
}

macro_rules! diagnoses {
    ($($(#[doc = $doc:literal])+ $id:ident = $number:literal,
        $level:ident, $sense:literal + $debounce:literal + $delay:literal ms, $reaction:ident, $latch:ident, $ftti:literal;)+) => {
        /// Everything that is looked for. The numbers are stable: they are sent over the wire and stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Diagnosis {
            $($(#[doc = $doc])+ $id = $number,)+
        }

        /// Number of diagnoses.
        pub const COUNT: usize = [$($number),+].len();

        /// The table, in the order of the numbers.
        pub const TABLE: [Entry; COUNT] = [$(Entry {
            id: Diagnosis::$id,
            name: stringify!($id),
            level: Level::$level,
            sense_ms: $sense,
            debounce_ms: $debounce,
            delay_ms: $delay,
            reaction: Reaction::$reaction,
            latch: Latch::$latch,
            ftti_ms: $ftti,
        },)+];

        impl Diagnosis {
            /// Its condition in words.
            #[must_use]
            pub const fn condition(self) -> &'static str {
                match self {
                    $(Self::$id => concat!($($doc),+).trim_ascii_start(),)+
                }
            }

            /// Its row of the table.
            #[must_use]
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$id => TABLE[$number],)+
                }
            }

            /// The one with this number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$id),)+
                    _ => None,
                }
            }
        }
    };
}

// Name = number, level, sense + debounce + delay, reaction, latch, FTTI in ms.
diagnoses! {
    /// Highest cell voltage above its working range
    CellVoltageHighInformation = 0, Information, 0 + 500 + 0 ms, Tell, None, 0;
    /// Highest cell voltage above its recommended limit
    CellVoltageHighWarning = 1, Warning, 0 + 500 + 0 ms, DerateCharge, None, 0;
    /// Highest cell voltage above its safe limit
    CellVoltageHighFatal = 2, Fatal, 0 + 500 + 200 ms, Open, Service, 4000;
    /// Lowest cell voltage below its working range
    CellVoltageLowInformation = 3, Information, 0 + 500 + 0 ms, Tell, None, 0;
    /// Lowest cell voltage below its recommended limit
    CellVoltageLowWarning = 4, Warning, 0 + 500 + 0 ms, DerateDischarge, None, 0;
    /// Lowest cell voltage below its safe limit
    CellVoltageLowFatal = 5, Fatal, 0 + 500 + 200 ms, Open, Acknowledge, 4000;
    /// A cell is so empty that copper dissolves: it must not be charged again
    DeepDischarge = 6, Fatal, 0 + 500 + 100 ms, Open, Service, 4000;
    /// Discharge current above what cells carry for long
    DischargeCurrentInformation = 7, Information, 100000 + 1000 + 0 ms, Tell, None, 0;
    /// Discharge current well above what cells carry for long
    DischargeCurrentWarning = 8, Warning, 100000 + 2000 + 0 ms, DerateDischarge, None, 0;
    /// Discharge current above what conductors carry for long
    DischargeCurrentFatal = 9, Fatal, 100000 + 5000 + 100 ms, Open, Acknowledge, 120000;
    /// Discharge current above the pulse limit
    DischargePulseFatal = 10, Fatal, 0 + 200 + 0 ms, Open, Acknowledge, 500;
    /// Charge current above what cells take for long
    ChargeCurrentInformation = 11, Information, 100000 + 1000 + 0 ms, Tell, None, 0;
    /// Charge current well above what cells take for long
    ChargeCurrentWarning = 12, Warning, 100000 + 2000 + 0 ms, DerateCharge, None, 0;
    /// Charge current above what cells or conductors bear for long
    ChargeCurrentFatal = 13, Fatal, 100000 + 5000 + 100 ms, Open, Acknowledge, 120000;
    /// Charge current above the pulse limit
    ChargePulseFatal = 14, Fatal, 0 + 200 + 0 ms, Open, Acknowledge, 500;
    /// Hot for discharge
    DischargeHotInformation = 15, Information, 0 + 1000 + 0 ms, Tell, None, 0;
    /// Too hot for full discharge power
    DischargeHotWarning = 16, Warning, 0 + 1000 + 0 ms, DerateDischarge, None, 0;
    /// Too hot for any discharge
    DischargeHotFatal = 17, Fatal, 0 + 2000 + 1000 ms, Open, Acknowledge, 10000;
    /// Cold for discharge
    DischargeColdInformation = 18, Information, 0 + 1000 + 0 ms, Tell, None, 0;
    /// Too cold for full discharge power
    DischargeColdWarning = 19, Warning, 0 + 1000 + 0 ms, DerateDischarge, None, 0;
    /// Too cold for any discharge
    DischargeColdFatal = 20, Fatal, 0 + 2000 + 1000 ms, Open, Acknowledge, 10000;
    /// Hot for charge
    ChargeHotInformation = 21, Information, 0 + 1000 + 0 ms, Tell, None, 0;
    /// Too hot for full charge power
    ChargeHotWarning = 22, Warning, 0 + 1000 + 0 ms, DerateCharge, None, 0;
    /// Too hot for any charge
    ChargeHotFatal = 23, Fatal, 0 + 2000 + 1000 ms, Open, Acknowledge, 10000;
    /// Cold for charge
    ChargeColdInformation = 24, Information, 0 + 1000 + 0 ms, Tell, None, 0;
    /// Too cold for full charge power
    ChargeColdWarning = 25, Warning, 0 + 1000 + 0 ms, DerateCharge, None, 0;
    /// Charged although too cold: lithium plates
    ChargeColdFatal = 26, Fatal, 0 + 2000 + 1000 ms, Open, Acknowledge, 10000;
    /// Temperatures of the pack differ
    TemperatureSpreadInformation = 27, Information, 0 + 5000 + 0 ms, Tell, None, 0;
    /// Temperatures of the pack differ much
    TemperatureSpreadWarning = 28, Warning, 0 + 5000 + 0 ms, Derate, None, 0;
    /// Temperatures of the pack differ so much that a cell or its cooling must be broken
    TemperatureSpreadFatal = 29, Fatal, 0 + 5000 + 1000 ms, Open, Service, 15000;
    /// A sensor's temperature rises faster than any load explains
    TemperatureRiseWarning = 30, Warning, 25000 + 3000 + 0 ms, Derate, None, 0;
    /// A sensor's temperature rises so fast that a cell must be failing
    TemperatureRiseFatal = 31, Fatal, 4000 + 3000 + 0 ms, Open, Service, 10000;
    /// A cell is in thermal runaway by the rule of GB 38031
    ThermalRunaway = 32, Fatal, 4000 + 3000 + 0 ms, Open, Service, 10000;
    /// A cell without a sensor of its own has collapsed and its neighbourhood warms up: thermal runaway
    ThermalRunawayNearby = 33, Fatal, 25000 + 3000 + 0 ms, Open, Service, 60000;
    /// States of charge of the cells differ
    ImbalanceInformation = 34, Information, 0 + 10000 + 0 ms, Tell, None, 0;
    /// States of charge of the cells differ much
    ImbalanceWarning = 35, Warning, 0 + 10000 + 0 ms, Derate, None, 0;
    /// Insulation resistance low
    InsulationWarning = 36, Warning, 0 + 2000 + 0 ms, Tell, None, 0;
    /// Insulation resistance so low that touching is dangerous
    InsulationFatal = 37, Fatal, 0 + 2000 + 1000 ms, Open, Service, 30000;
    /// The interlock is open: somebody may touch live parts
    InterlockOpen = 38, Fatal, 0 + 200 + 0 ms, Open, Acknowledge, 1000;
    /// The plus contactor is closed though told to open
    PlusWelded = 39, Fatal, 0 + 300 + 0 ms, StayOpen, Service, 0;
    /// The minus contactor is closed though told to open
    MinusWelded = 40, Fatal, 0 + 300 + 0 ms, StayOpen, Service, 0;
    /// The precharge contactor is closed though told to open
    PrechargeWelded = 41, Fatal, 0 + 300 + 0 ms, StayOpen, Service, 0;
    /// The plus contactor is open though told to close
    PlusFailsToClose = 42, Fatal, 0 + 300 + 100 ms, Open, Acknowledge, 2000;
    /// The minus contactor is open though told to close
    MinusFailsToClose = 43, Fatal, 0 + 300 + 100 ms, Open, Acknowledge, 2000;
    /// The precharge contactor is open though told to close
    PrechargeFailsToClose = 44, Fatal, 0 + 300 + 100 ms, Open, Acknowledge, 2000;
    /// The link was not charged in time, or the current did not fall
    PrechargeFailed = 45, Fatal, 0 + 0 + 0 ms, Open, Acknowledge, 2000;
    /// Precharged too often in too short a time: its resistor must cool down
    PrechargeTooOften = 46, Warning, 0 + 0 + 0 ms, StayOpen, None, 0;
    /// The main fuse has blown
    FuseBlown = 47, Fatal, 0 + 200 + 0 ms, Open, Service, 4000;
    /// Current flows though all contactors should be open
    CurrentWhileOpen = 48, Fatal, 1500 + 500 + 0 ms, StayOpen, Service, 0;
    /// A cell's sense wire is open
    CellWireOpen = 49, Fatal, 0 + 1000 + 500 ms, Open, Acknowledge, 4000;
    /// A cell voltage stands still though its neighbours move
    CellVoltageStuck = 50, Fatal, 0 + 2000 + 500 ms, Open, Acknowledge, 4000;
    /// A cell voltage jumps as no cell can
    CellVoltageJump = 51, Fatal, 0 + 1000 + 500 ms, Open, Acknowledge, 4000;
    /// A cell voltage drifts away from what its cell can do
    CellVoltageDrift = 52, Warning, 10000 + 5000 + 0 ms, Derate, None, 0;
    /// Sense wires of two cells are swapped, or a cell is reversed
    CellVoltageSwapped = 53, Fatal, 0 + 1000 + 500 ms, Open, Service, 4000;
    /// A cell voltage is missing or cannot be
    CellVoltageLost = 54, Fatal, 200 + 1000 + 500 ms, Open, Acknowledge, 4000;
    /// The sum of the cells is not the pack voltage
    PackVoltageDisagrees = 55, Fatal, 0 + 1000 + 500 ms, Open, Acknowledge, 4000;
    /// The pack voltage is missing or cannot be
    PackVoltageLost = 56, Warning, 0 + 1000 + 0 ms, Derate, None, 0;
    /// A temperature sensor is missing, broken or shorted
    TemperatureLost = 57, Warning, 200 + 1000 + 0 ms, Derate, None, 0;
    /// Too few temperature sensors are left to protect the pack
    TemperaturesLost = 58, Fatal, 200 + 1000 + 1000 ms, Open, Acknowledge, 10000;
    /// A temperature stands still though the others move
    TemperatureStuck = 59, Warning, 0 + 5000 + 0 ms, Derate, Acknowledge, 0;
    /// A temperature jumps as no cell can
    TemperatureJump = 60, Warning, 0 + 500 + 0 ms, Derate, None, 0;
    /// A temperature drifts away from its neighbours
    TemperatureDrift = 61, Warning, 0 + 5000 + 0 ms, Derate, None, 0;
    /// The current is missing or cannot be, and there is no other sensor
    CurrentLost = 62, Fatal, 0 + 300 + 100 ms, Open, Acknowledge, 1000;
    /// One of two current sensors is missing
    CurrentRedundancyLost = 63, Warning, 0 + 300 + 0 ms, Derate, None, 0;
    /// The two current sensors disagree
    CurrentDisagrees = 64, Fatal, 0 + 500 + 200 ms, Open, Acknowledge, 4000;
    /// The current stands still though the voltages move
    CurrentStuck = 65, Fatal, 0 + 2000 + 500 ms, Open, Acknowledge, 4000;
    /// The current's zero is off while no current can flow
    CurrentOffset = 66, Warning, 1500 + 5000 + 0 ms, Tell, None, 0;
    /// The front end of the cells is not heard, or with wrong counters or check sums
    FrontEndLost = 67, Fatal, 0 + 500 + 300 ms, Open, Acknowledge, 4000;
    /// The current sensor is not heard, or with wrong counters or check sums, and there is no other
    CurrentSensorLost = 68, Fatal, 0 + 300 + 100 ms, Open, Acknowledge, 1000;
    /// The vehicle is not heard, or with wrong counters or check sums
    VehicleLost = 69, Fatal, 200 + 1000 + 2000 ms, Open, Acknowledge, 10000;
    /// The charger is not heard while it charges
    ChargerLost = 70, Warning, 300 + 1000 + 0 ms, StopCharge, None, 4000;
    /// The insulation monitor is not heard
    InsulationMonitorLost = 71, Warning, 2000 + 5000 + 0 ms, Tell, None, 0;
    /// A step came too late
    TaskLate = 72, Information, 0 + 0 + 0 ms, Tell, None, 0;
    /// Steps come so late that the reaction times do not hold
    TaskOverrun = 73, Fatal, 0 + 300 + 0 ms, Open, Acknowledge, 1000;
    /// Settings or state in memory have changed by themselves
    MemoryCorrupt = 74, Fatal, 0 + 0 + 0 ms, Open, Service, 1000;
    /// The stored state was damaged; the start is a guess
    StoreDamaged = 75, Warning, 0 + 0 + 0 ms, Tell, Acknowledge, 0;
    /// The self-test at wake-up has failed
    SelfTestFailed = 76, Fatal, 0 + 0 + 0 ms, StayOpen, Acknowledge, 0;
    /// A cell discharges itself faster than the others
    LeakyCell = 77, Warning, 0 + 0 + 0 ms, Derate, Acknowledge, 0;
    /// A cell has an internal short
    InternalShort = 78, Fatal, 25000 + 2000 + 0 ms, Open, Service, 60000;
    /// The balancing board is too hot
    BoardHot = 79, Warning, 0 + 2000 + 0 ms, StopBalancing, None, 0;
    /// Coolant does not flow though it is asked to
    CoolantLost = 80, Warning, 0 + 10000 + 0 ms, Derate, None, 0;
    /// A heater heats though it is told not to
    HeaterStuck = 81, Fatal, 0 + 10000 + 0 ms, Open, Acknowledge, 60000;
    /// The state of charge is not known well enough for full power
    SocUncertain = 82, Information, 0 + 5000 + 0 ms, Tell, None, 0;
    /// Cells are still charged though the charger was told to stop
    ChargerIgnoresLimit = 83, Fatal, 0 + 5000 + 1000 ms, Open, Acknowledge, 9000;
}

/// Numbers count from 0 without a gap, and every fault that is answered by opening is answered in time.
const fn table_is_sound() -> bool {
    let mut k = 0;
    while k < COUNT {
        let e = &TABLE[k];
        if e.id as usize != k {
            return false;
        }
        if e.ftti_ms > 0 && e.reaction_time_ms() > e.ftti_ms {
            return false;
        }
        let trips = matches!(e.level, Level::Fatal) && !matches!(e.latch, Latch::None) && e.ftti_ms > 0;
        if matches!(e.reaction, Reaction::Open) && !trips {
            return false;
        }
        k += 1;
    }
    true
}

const _: () =
    assert!(table_is_sound(), "a row of the diagnosis table is slower than its FTTI or has no sense");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_rows() {
        for (k, e) in TABLE.iter().enumerate() {
            assert_eq!(Diagnosis::from_number(k as u8), Some(e.id));
            assert_eq!(e.id.entry(), *e);
            assert!(!e.id.condition().is_empty());
        }
        assert_eq!(Diagnosis::from_number(COUNT as u8), None);
    }

    /// Over-voltage as worked out by hand: 100 (missed sample) + 500 + 200 + 50 ms.
    #[test]
    fn reaction_times_add_up() {
        assert_eq!(Diagnosis::CellVoltageHighFatal.entry().reaction_time_ms(), 850);
    }
}
