//! Patterns such as `rgb/*_c.png`: `*` stands for any text inside one path part, and what it stands for names the capture.

use crate::CaptureError;

/// A pattern over paths relative to a folder.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// Literal texts between the stars.
    pieces: Vec<String>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, CaptureError> {
        let refuse = |reason| CaptureError::Pattern { pattern: text.to_string(), reason };
        if text.contains(['[', ']', '{', '}', '?']) || text.contains("**") {
            return Err(refuse("only `*` is understood, and it stands for any text without `/`"));
        }
        if !text.contains('*') {
            return Err(refuse("needs a `*` for the part that names the capture"));
        }
        Ok(Self { pieces: text.trim_start_matches("./").split('*').map(str::to_string).collect() })
    }

    /// What the stars stand for, joined by `-`; `None` when `path` does not match.
    pub(crate) fn key(&self, path: &str) -> Option<String> {
        let mut stars = Vec::new();
        match_pieces(&self.pieces, path, &mut stars).then(|| stars.join("-"))
    }

    /// The path that has `key` for its one star, for messages.
    pub(crate) fn with_key(&self, key: &str) -> String {
        self.pieces.join(key)
    }
}

/// Matches `pieces[0] * pieces[1] * …` against the whole of `path`; shortest star first.
fn match_pieces(pieces: &[String], path: &str, stars: &mut Vec<String>) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return path.is_empty();
    };
    let Some(after) = path.strip_prefix(first.as_str()) else {
        return false;
    };
    if rest.is_empty() {
        return after.is_empty();
    }
    let longest = after.find('/').unwrap_or(after.len());
    for (end, _) in after.char_indices().chain([(after.len(), ' ')]).take_while(|(i, _)| *i <= longest) {
        stars.push(after[..end].to_string());
        if match_pieces(rest, &after[end..], stars) {
            return true;
        }
        stars.pop();
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stars_name_the_capture() {
        let p = Pattern::new("rgb/*_c.png").unwrap();
        assert_eq!(p.key("rgb/item_7_c.png").as_deref(), Some("item_7"));
        assert_eq!(p.key("rgb/sub/item_c.png"), None);
        assert_eq!(p.key("rgb/item_d.png"), None);
        assert_eq!(p.with_key("7"), "rgb/7_c.png");
        let two = Pattern::new("*/shot*.jpg").unwrap();
        assert_eq!(two.key("box/shot3.jpg").as_deref(), Some("box-3"));
        assert_eq!(two.key("box/shöt3.jpg"), None);
        assert!(Pattern::new("a.png").is_err());
        assert!(Pattern::new("[ab]*.png").is_err());
    }
}
