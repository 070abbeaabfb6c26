//! A progress bar on the error stream.

use std::sync::Mutex;
use std::time::Duration;

use bms_sim::verify::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for the stage that runs; hidden when quiet or when nobody looks at a terminal.
#[derive(Debug)]
pub(super) struct Bar {
    bar: Mutex<ProgressBar>,
    quiet: bool,
}

impl Bar {
    pub(super) fn new(quiet: bool) -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()), quiet }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.current().finish_and_clear();
    }

    fn current(&self) -> ProgressBar {
        self.bar.lock().map_or_else(|e| e.into_inner().clone(), |bar| bar.clone())
    }
}

impl Progress for Bar {
    fn stage(&self, name: &str, steps: usize) {
        self.finish();
        // indicatif itself hides a bar on a stream that is no terminal.
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target).with_message(name.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg:20} [{bar:40}] {percent:>3} % {eta:>6} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        if let Ok(mut current) = self.bar.lock() {
            *current = bar;
        }
    }

    fn advance(&self, steps: usize) {
        self.current().inc(steps as u64);
    }
}
