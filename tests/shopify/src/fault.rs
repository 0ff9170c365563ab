//! What goes wrong between a client and the Admin API: by seed, or the next time on demand.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// One way to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 200 with a THROTTLED error; nothing is done.
    Throttled,
    /// 402: the shop is frozen.
    Frozen,
    /// 423: the shop is locked.
    Locked,
    /// 429 with `Retry-After`.
    TooMany,
    /// 430: taken for an attack.
    Rejected,
    /// 500; nothing is done.
    Internal,
    /// 502; nothing is done.
    BadGateway,
    /// 503; nothing is done.
    Unavailable,
    /// No answer for longer than anybody waits; nothing is done.
    Timeout,
    /// The connection breaks; nothing is done.
    Reset,
    /// It is done, and the connection breaks before the answer.
    Lost,
}

/// Every way to fail, in the order in which chance considers them.
pub const ALL: [Fault; 11] = [
    Fault::Throttled,
    Fault::Frozen,
    Fault::Locked,
    Fault::TooMany,
    Fault::Rejected,
    Fault::Internal,
    Fault::BadGateway,
    Fault::Unavailable,
    Fault::Timeout,
    Fault::Reset,
    Fault::Lost,
];

impl Fault {
    /// The fault of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }

    /// The HTTP status that says so, where one does.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Frozen => Some(402),
            Self::Locked => Some(423),
            Self::TooMany => Some(429),
            Self::Rejected => Some(430),
            Self::Internal => Some(500),
            Self::BadGateway => Some(502),
            Self::Unavailable => Some(503),
            Self::Throttled | Self::Timeout | Self::Reset | Self::Lost => None,
        }
    }
}

/// Which requests fail, and how.
#[derive(Debug)]
pub struct Faults {
    dice: Dice,
    requests: u64,
    often: Vec<(Fault, f64)>,
    next: VecDeque<Option<Fault>>,
    struck: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Faults of a seed, none of them yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let dice = Dice::new(seed).of("faults");
        let (next, struck) = (VecDeque::new(), BTreeMap::new());
        Self { dice, requests: 0, often: Vec::new(), next, struck }
    }

    /// Lets a fault happen with a probability from now on.
    pub fn often(&mut self, fault: Fault, probability: f64) {
        self.often.retain(|(known, _)| *known != fault);
        if probability > 0.0 {
            self.often.push((fault, probability));
        }
    }

    /// Lets the request after those that are already doomed fail.
    pub fn next(&mut self, fault: Fault) {
        self.next.push_back(Some(fault));
    }

    /// Lets the request after those that were already decided about pass.
    pub fn spare(&mut self) {
        self.next.push_back(None);
    }

    /// How many requests each fault struck so far.
    #[must_use]
    pub fn struck(&self) -> &BTreeMap<Fault, u64> {
        &self.struck
    }

    /// The fate of one more request.
    pub fn strike(&mut self) -> Option<Fault> {
        let fate = self.fate();
        if let Some(fault) = fate {
            *self.struck.entry(fault).or_default() += 1;
        }
        fate
    }

    fn fate(&mut self) -> Option<Fault> {
        self.requests += 1;
        if let Some(fate) = self.next.pop_front() {
            return fate;
        }
        let (dice, n) = (self.dice, self.requests);
        ALL.into_iter().find(|fault| {
            let of = self.often.iter().find(|(known, _)| known == fault);
            of.is_some_and(|(_, probability)| {
                dice.of(&format!("{fault:?}")).happens(n, *probability)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_repeat_with_the_seed_and_come_when_called() {
        let strikes = |seed| {
            let mut faults = Faults::new(seed);
            faults.often(Fault::Internal, 0.1);
            faults.next(Fault::Lost);
            (0..200).map(|_| faults.strike()).collect::<Vec<_>>()
        };
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        assert_eq!(strikes(1)[0], Some(Fault::Lost));
        let struck = strikes(1).iter().filter(|fault| **fault == Some(Fault::Internal)).count();
        assert!((8..40).contains(&struck), "{struck}");
    }

    #[test]
    fn what_struck_is_counted_and_what_passed_is_not() {
        let mut faults = Faults::new(1);
        faults.next(Fault::Lost);
        faults.spare();
        faults.next(Fault::Lost);
        faults.next(Fault::Reset);
        for _ in 0..10 {
            faults.strike();
        }
        assert_eq!(*faults.struck(), BTreeMap::from([(Fault::Reset, 1), (Fault::Lost, 2)]));
    }
}
