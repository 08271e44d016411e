//! How far a command is: a bar on standard error where that is a terminal, nothing elsewhere.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A bar over `total` of something, with its pace and the time left.
pub fn bar(total: usize, of: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    let Ok(style) = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {of}, {{pace}}, {{eta}} left  {{msg}}")) else {
        return bar;
    };
    let pace = |state: &ProgressState, out: &mut dyn Write| write!(out, "{:.1}/s", state.per_sec()).unwrap_or_default();
    bar.with_style(style.with_key("pace", pace))
}

/// The same of pictures that each get a line of output; none for a single one.
pub fn bar_of_pictures(total: usize) -> ProgressBar {
    if total > 1 { bar(total, "pictures") } else { ProgressBar::hidden() }
}
