//! What goes wrong between Shopify and a subscriber, by seed.

use std::time::Duration;

use crate::dice::Dice;

/// How often what goes wrong; probabilities between 0 and 1.
#[derive(Clone, Debug, Default)]
pub struct Disturbance {
    /// Never sent.
    pub drop: f64,
    /// Sent twice, with the same ids.
    pub duplicate: f64,
    /// Sent late.
    pub delay: f64,
    /// Sent after some that were triggered later.
    pub reorder: f64,
    /// Held back until somebody lets it go.
    pub late: f64,
    /// The longest delay.
    pub delay_max: Duration,
}

/// What becomes of one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is lost.
    Dropped,
    /// It is sent so many times, after waiting so long.
    Sent {
        /// Once or twice.
        copies: u32,
        /// From the moment it was triggered.
        wait: Duration,
        /// Why it waits.
        disorder: Disorder,
    },
    /// It is held back until somebody lets it go, and then sent so many times.
    Held {
        /// Once or twice.
        copies: u32,
    },
}

/// Why a delivery waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disorder {
    /// It doesn't.
    None,
    /// It is late.
    Delayed,
    /// Others overtake it.
    Reordered,
}

/// Short enough that a delivery is late, long enough that others overtake it.
const OVERTAKEN: Duration = Duration::from_millis(400);

impl Disturbance {
    /// The fate of the `n`-th delivery.
    #[must_use]
    pub fn fate(&self, dice: Dice, n: u64) -> Fate {
        if dice.of("drop").happens(n, self.drop) {
            return Fate::Dropped;
        }
        let copies = 1 + u32::from(dice.of("duplicate").happens(n, self.duplicate));
        if dice.of("late").happens(n, self.late) {
            return Fate::Held { copies };
        }
        let longest = u64::try_from(self.delay_max.as_millis()).unwrap_or(u64::MAX);
        let (wait, disorder) = if dice.of("delay").happens(n, self.delay) {
            let wait = dice.of("wait").below(n, longest.max(1));
            (Duration::from_millis(wait), Disorder::Delayed)
        } else if dice.of("reorder").happens(n, self.reorder) {
            (OVERTAKEN, Disorder::Reordered)
        } else {
            (Duration::ZERO, Disorder::None)
        };
        Fate::Sent { copies, wait, disorder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_as_frequent_as_asked_and_repeat() {
        let disturbance = Disturbance {
            drop: 0.1,
            duplicate: 0.2,
            delay: 0.0,
            reorder: 0.3,
            late: 0.1,
            delay_max: Duration::from_secs(5),
        };
        let fates = |seed| -> Vec<Fate> {
            (0..10_000).map(|n| disturbance.fate(Dice::new(seed), n)).collect()
        };
        let (one, again, other) = (fates(1), fates(1), fates(2));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let dropped = one.iter().filter(|fate| **fate == Fate::Dropped).count();
        assert!((900..1_100).contains(&dropped), "{dropped}");
        let twice = one.iter().filter(|fate| matches!(fate, Fate::Sent { copies: 2, .. })).count();
        assert!((1_470..1_770).contains(&twice), "{twice}");
        let held = one.iter().filter(|fate| matches!(fate, Fate::Held { .. })).count();
        assert!((800..1_000).contains(&held), "{held}");
    }
}
