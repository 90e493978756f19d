//! Progress of waiting work, on stderr when it is a terminal; log lines always.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certferry_core::port::Notify;
use certferry_core::{Event, Outcome};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output;

/// Redraws per second of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// Told of every event; shows a line for each thing that is under way, and collects what was done for the summary.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    under_way: Mutex<HashMap<String, ProgressBar>>,
    done: Mutex<Vec<Event>>,
    /// How long lines of what is done may be on stdout; `None` prints none.
    echo: Option<usize>,
}

impl Progress {
    /// Shows lines where stderr is a terminal; `echo` also prints what is done to stdout, as it is done.
    pub(crate) fn new(echo: bool) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, under_way: Mutex::default(), done: Mutex::default(), echo: echo.then_some(usize::MAX) }
    }

    /// Prints what is done to stdout, in lines of at most `width` characters.
    pub(crate) fn within(width: usize) -> Self {
        Self { echo: Some(width), ..Self::new(true) }
    }

    /// Everything that was done, failed or was warned of, in order.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, bars: &MultiProgress, event: &Event) {
        let key = format!("{} {}", output::place(event), event.action);
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match event.outcome {
            Outcome::Started | Outcome::Waiting => {
                let bar = under_way.entry(key.clone()).or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new_spinner().with_style(style()));
                    bar.enable_steady_tick(TICK);
                    bar
                });
                bar.set_message(format!("{key}: {}", event.detail));
            }
            Outcome::Done | Outcome::Failed | Outcome::Warned => {
                if let Some(bar) = under_way.remove(&key) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

impl Notify for Progress {
    fn notify(&self, event: &Event) {
        log(event);
        if let Some(bars) = &self.bars {
            self.show(bars, event);
        }
        if matches!(event.outcome, Outcome::Done | Outcome::Failed | Outcome::Warned) {
            if let (Some(width), Outcome::Done) = (self.echo, event.outcome) {
                let print = || output::line(&output::wrapped(&output::event_line(event), width));
                match &self.bars {
                    Some(bars) => bars.suspend(print),
                    None => print(),
                }
            }
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        }
    }
}

/// An event as a line of the log.
pub(crate) fn log(event: &Event) {
    let line = output::event_line(event);
    match event.outcome {
        Outcome::Failed | Outcome::Warned => tracing::warn!("{line}"),
        Outcome::Waiting => tracing::debug!("{line}"),
        Outcome::Started | Outcome::Done => tracing::info!("{line}"),
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
