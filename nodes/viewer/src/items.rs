//! Running numbers of items, for the timeline `item`.

use std::collections::VecDeque;

use scene::Moment;

/// Items that can still get messages.
const REMEMBERED: usize = 256;

/// Numbers items in the order in which they are first heard of.
#[derive(Debug, Default)]
pub(crate) struct Items {
    recent: VecDeque<(String, i64)>,
    count: i64,
}

impl Items {
    /// The moment of a message about an item; `<id>#<k>` belongs to `<id>`.
    pub(crate) fn moment(&mut self, item_id: &str, stamp_ns: i64) -> Moment {
        let id = item_id.split('#').next().unwrap_or(item_id);
        let known = self.recent.iter().rev().find(|(known, _)| known == id).map(|(_, number)| *number);
        let number = known.unwrap_or_else(|| {
            self.count += 1;
            if self.recent.len() >= REMEMBERED {
                self.recent.pop_front();
            }
            self.recent.push_back((id.to_owned(), self.count));
            self.count
        });
        Moment { stamp_ns, item: Some(number) }
    }

    /// The moment of something that concerns no item: it stands with the latest one.
    pub(crate) fn now(&self, stamp_ns: i64) -> Moment {
        Moment { stamp_ns, item: (self.count > 0).then_some(self.count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_numbered_once() {
        let mut items = Items::default();
        assert_eq!(items.now(5), Moment { stamp_ns: 5, item: None });
        let numbers: Vec<_> = ["a", "b", "a#2", "b#1", "c"].iter().map(|id| items.moment(id, 0).item).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(1), Some(2), Some(3)]);
        assert_eq!(items.now(0).item, Some(3));
        for i in 0..1000 {
            items.moment(&format!("x{i}"), 0);
        }
        assert_eq!(items.recent.len(), REMEMBERED);
    }
}
