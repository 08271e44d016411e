//! What a file's name says about it: `<name>_color.png`, `<name>_depth_0.1mm.png`, `color_<name>.png`, `color.png`.

const COLOR_WORDS: [&str; 3] = ["color", "colour", "rgb"];
const SEPARATORS: [char; 3] = ['_', '-', '.'];

/// What a file is to its capture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Color,
    /// With the metres a count that the name states.
    Depth(Option<f64>),
}

/// The capture's name and the file's role, or `None` for a file that is neither colour nor depth.
/// The name is empty when the file is called `color.png` or `depth_mm.png`: then the folder names the capture.
pub(crate) fn classify(file_name: &str) -> Option<(String, Role)> {
    let (base, extension) = file_name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    let is_png = extension == "png";
    if !is_png && extension != "jpg" && extension != "jpeg" {
        return None;
    }
    if is_png && let Some((name, unit_m)) = depth_name(base) {
        return Some((name.to_string(), Role::Depth(unit_m)));
    }
    color_name(base).map(|name| (name.to_string(), Role::Color))
}

fn color_name(base: &str) -> Option<&str> {
    COLOR_WORDS
        .iter()
        .find_map(|word| strip_suffix_word(base, word))
        .or_else(|| COLOR_WORDS.iter().find_map(|word| strip_prefix_word(base, word)))
}

fn depth_name(base: &str) -> Option<(&str, Option<f64>)> {
    if let Some(name) = strip_suffix_word(base, "depth") {
        return Some((name, None));
    }
    // `…depth_<unit>`: the unit itself may hold a dot.
    let at = base.to_ascii_lowercase().rfind("depth")?;
    let (before, after) = (base.get(..at)?, base.get(at + "depth".len()..)?);
    if before.is_empty() || before.ends_with(SEPARATORS) {
        let tail = after.strip_prefix(SEPARATORS);
        if let Some(unit_m) = tail.and_then(parse_unit) {
            return Some((before.trim_end_matches(SEPARATORS), Some(unit_m)));
        }
    }
    strip_prefix_word(base, "depth").map(|name| (name, None))
}

fn strip_suffix_word<'a>(base: &'a str, word: &str) -> Option<&'a str> {
    let cut = base.len().checked_sub(word.len())?;
    if !base.get(cut..)?.eq_ignore_ascii_case(word) {
        return None;
    }
    let head = base.get(..cut)?;
    if head.is_empty() { Some(head) } else { head.strip_suffix(SEPARATORS) }
}

fn strip_prefix_word<'a>(base: &'a str, word: &str) -> Option<&'a str> {
    if !base.get(..word.len())?.eq_ignore_ascii_case(word) {
        return None;
    }
    base.get(word.len()..)?.strip_prefix(SEPARATORS).filter(|name| !name.is_empty())
}

/// `0.1mm`, `mm`, `1mm`, `um`, `cm`, `m` as metres.
fn parse_unit(text: &str) -> Option<f64> {
    let (number, scale) = [("mm", 1e-3), ("um", 1e-6), ("cm", 1e-2), ("m", 1.0)]
        .iter()
        .find_map(|(suffix, scale)| text.strip_suffix(suffix).map(|n| (n, *scale)))?;
    let factor = if number.is_empty() { 1.0 } else { number.parse::<f64>().ok()? };
    (factor.is_finite() && factor > 0.0).then_some(factor * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_capture_role_and_unit() {
        let depth = |u: f64| Role::Depth(Some(u));
        let cases = [
            ("blue_mug_color.png", Some(("blue_mug", Role::Color))),
            ("blue_mug_depth_0.1mm.png", Some(("blue_mug", depth(1e-4)))),
            ("learn10_depth_mm.png", Some(("learn10", depth(1e-3)))),
            ("000000080-opaque-rgb.jpg", Some(("000000080-opaque", Role::Color))),
            ("000000080-opaque-depth_0.1mm.png", Some(("000000080-opaque", depth(1e-4)))),
            ("frame-000000.color.png", Some(("frame-000000", Role::Color))),
            ("frame-000000.depth_0.1mm.png", Some(("frame-000000", depth(1e-4)))),
            ("input-0.depth.png", Some(("input-0", Role::Depth(None)))),
            ("color_box_color.png", Some(("color_box", Role::Color))),
            ("color_0001.png", Some(("0001", Role::Color))),
            ("depth_0001.png", Some(("0001", Role::Depth(None)))),
            ("color.PNG", Some(("", Role::Color))),
            ("depth_mm.png", Some(("", depth(1e-3)))),
            ("learn0_label.png", None),
            ("000000080-mask.png", None),
            ("watercolor.png", None),
            ("depth_map.jpg", None),
            ("x_object_pc.npy", None),
            ("README", None),
        ];
        for (file, expected) in cases {
            let expected = expected.map(|(name, role)| (name.to_string(), role));
            match (classify(file), expected) {
                (Some((n, Role::Depth(Some(u)))), Some((m, Role::Depth(Some(v))))) => {
                    assert_eq!(n, m, "{file}");
                    assert!((u - v).abs() < 1e-12, "{file}");
                }
                (got, expected) => assert_eq!(got, expected, "{file}"),
            }
        }
    }
}
