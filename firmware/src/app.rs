//! The program around a unit.
//!
//! On the host, `PROGRAM RECORDING RESULTS` writes the results of every step. On the board, `PROGRAM RECORDING RESULTS`
//! compares with them, and `PROGRAM RECORDING search` looks for the dearest inputs.
//!
//! Results are two words for each step: the bits of the SOC, and the [`crate::digest::Digest`] of everything.

/// What was learnt is taken into the results every so many steps, and in the last.
pub const LEARNT_EVERY: u32 = 256;
/// Bytes of a step's results.
pub const RESULT_LEN: usize = 8;

/// Whether everything that was learnt counts at this step.
#[must_use]
pub const fn learnt(step: u32, count: u32) -> bool {
    step.is_multiple_of(LEARNT_EVERY) || step + 1 == count
}

/// Makes the program for a unit.
#[macro_export]
macro_rules! program {
    ($unit:ty) => {
        #[cfg(target_os = "none")]
        mod on_board {
            use $crate::board::Slot;
            use $crate::unit::Unit;

            static MODELS: Slot<<$unit as Unit>::Models> = Slot::EMPTY;
            static UNIT: Slot<$unit> = Slot::EMPTY;
            static SPARE: [Slot<$unit>; 3] = [Slot::EMPTY, Slot::EMPTY, Slot::EMPTY];

            #[cortex_m_rt::entry]
            fn main() -> ! {
                $crate::board::run::<$unit>(&MODELS, &UNIT, &SPARE)
            }
        }

        #[cfg(not(target_os = "none"))]
        fn main() -> std::process::ExitCode {
            use $crate::unit::Unit;

            fn write<U: Unit>(recording: &str, results: &str) -> Result<(), Box<dyn std::error::Error>> {
                use $crate::record;
                let bytes = std::fs::read(recording)?;
                let (head, samples) = bytes.split_first_chunk().ok_or("the recording is too short")?;
                let (count, soc) = record::header(head).ok_or("not a recording")?;
                let models = Box::leak(Box::new(U::models().ok_or("the tables are refused")?));
                let mut unit = U::new(models, soc).ok_or("the settings are refused")?;
                let mut out = Vec::new();
                let (samples, rest) = samples.as_chunks();
                if !rest.is_empty() || samples.len() != count as usize {
                    return Err("the recording is damaged".into());
                }
                for (k, bytes) in (0..).zip(samples) {
                    unit.prepare(&record::sample(bytes));
                    unit.step();
                    out.extend(unit.soc().to_bits().to_le_bytes());
                    out.extend(unit.digest($crate::app::learnt(k, count)).to_le_bytes());
                }
                println!("{} {recording}: {count} steps, SOC {}, mode {}", U::NAME, unit.soc(), unit.mode());
                Ok(std::fs::write(results, out)?)
            }

            let arguments: Vec<String> = std::env::args().skip(1).collect();
            let [recording, results] = &arguments[..] else {
                eprintln!("usage: {} RECORDING RESULTS", <$unit as Unit>::NAME);
                return std::process::ExitCode::from(2);
            };
            if let Err(error) = write::<$unit>(recording, results) {
                eprintln!("{recording}: {error}");
                return std::process::ExitCode::FAILURE;
            }
            std::process::ExitCode::SUCCESS
        }
    };
}
