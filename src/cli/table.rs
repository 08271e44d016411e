//! Tables for people, on the terminal.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};

/// A table in the house style with these column heads.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header(heads.iter().copied());
    table
}

/// A right-aligned cell.
pub fn number(text: impl ToString) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

/// A disposition in the colour that the floor knows it by.
pub fn disposition(name: &str) -> Cell {
    let color = match name {
        "SORT" => Color::Green,
        "SIDELINE" => Color::Red,
        _ => Color::Yellow,
    };
    Cell::new(name).fg(color)
}

/// `x` with `digits` decimals, or a dash when there is no number.
pub fn score(x: f32, digits: usize) -> String {
    if x.is_finite() { format!("{x:.digits$}") } else { "–".to_owned() }
}
