//! Quality of service, as far as ROS 2 nodes here need it.

/// Whether lost samples are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// Lost samples stay lost. Images leave the process this way: a reliable writer of large messages
    /// stalls on a lossy or default network.
    BestEffort,
    /// Lost samples are sent again.
    Reliable,
}

/// Whether late subscribers get what was published before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// They do not: a restarted robot must not replay an old command.
    Volatile,
    /// They get the last `depth` samples of every publisher ("latched").
    TransientLocal,
}

/// Quality of service of a publisher or subscription; history is keep-last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// Whether lost samples are sent again.
    pub reliability: Reliability,
    /// Whether late subscribers get what was published before them.
    pub durability: Durability,
    /// How many samples are kept; at least 1.
    pub depth: usize,
}

impl Qos {
    /// Sensor streams: best effort, volatile, keep last 5.
    pub const fn sensor() -> Self {
        Self { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 5 }
    }

    /// Arrivals, decisions, commands: reliable, volatile, keep last 100.
    pub const fn event() -> Self {
        Self { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 100 }
    }

    /// State that late subscribers need: reliable, transient local, keep last 1.
    pub const fn latched() -> Self {
        Self { reliability: Reliability::Reliable, durability: Durability::TransientLocal, depth: 1 }
    }

    /// `/clock`: best effort, volatile, keep last 1.
    pub const fn clock() -> Self {
        Self { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 1 }
    }

    /// Requests and responses of services: reliable, volatile, keep last 10.
    pub const fn service() -> Self {
        Self { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 10 }
    }

    /// Why a subscription that asks for `self` cannot be served by a publisher that `offers`, if so (the
    /// request-offer rules of DDS, which every carrier follows).
    pub fn unmet_by(&self, offers: &Qos) -> Option<&'static str> {
        if self.reliability == Reliability::Reliable && offers.reliability == Reliability::BestEffort {
            return Some("the subscription asks for reliable, the publisher offers best effort");
        }
        if self.durability == Durability::TransientLocal && offers.durability == Durability::Volatile {
            return Some("the subscription asks for transient local, the publisher offers volatile");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_offer_follow_dds() {
        for (asked, offered, fits) in [
            (Qos::sensor(), Qos::event(), true),
            (Qos::event(), Qos::sensor(), false),
            (Qos::event(), Qos::latched(), true),
            (Qos::latched(), Qos::event(), false),
            (Qos::latched(), Qos::latched(), true),
            (Qos::clock(), Qos::clock(), true),
        ] {
            assert_eq!(asked.unmet_by(&offered).is_none(), fits, "{asked:?} of {offered:?}");
        }
    }
}
