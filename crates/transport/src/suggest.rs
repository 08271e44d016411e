//! "Did you mean …?": the valid name nearest to a mistyped one.

/// The candidate with the smallest edit distance (Levenshtein) to `name`; `None` without candidates.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates.into_iter().min_by_key(|candidate| edit_distance(name, candidate))
}

/// Insertions, deletions and substitutions that turn `from` into `to`.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&to) {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = *cell;
            left = substituted.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        for (from, to, expected) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("same", "same", 0)]
        {
            assert_eq!(edit_distance(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn the_nearest_name_wins() {
        let names = ["damage_threshold", "deadline_s", "cameras"];
        assert_eq!(nearest("damage_treshold", names), Some("damage_threshold"));
        assert_eq!(nearest("deadline", names), Some("deadline_s"));
        assert_eq!(nearest("x", []), None);
    }
}
