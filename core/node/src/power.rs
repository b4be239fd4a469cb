//! How much a node may do on its own: as needed, as little as it can, or nothing.
//!
//! The modes decide which links are kept and which timers run; messages are sent and taken in all
//! but the last. [`PowerPolicy::Auto`] is for machines that are told nothing of their user: it
//! rests when nothing but the protocol's own talk has gone over any link for ten minutes and
//! nobody has dialled this node, for then nobody leans on its other links.
//!
//! The policy is pure: it is told of traffic and of the time, and says the mode.

use std::time::{Duration, Instant};

/// Ten minutes: longer than the pauses of a conversation, and long against what it costs to dial
/// the links again that were given up.
const QUIET: Duration = Duration::from_secs(600);

/// What a node does on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PowerMode {
    /// All peers are dialled and kept.
    #[default]
    Active,
    /// Of the peers that are dialled one is kept, the best, and nothing is done between the beats
    /// of the protocol. Whoever dials this node stays: it would come back at once.
    Idle,
    /// All links are closed and no timer runs. Messages wait; who dials is hung up on. Any other
    /// mode brings the links back at once.
    Suspended,
}

/// How the mode is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PowerPolicy {
    /// Idle after ten minutes without data and without a peer that dialled us, else active.
    Auto,
    /// As told.
    Always(PowerMode),
}

impl Default for PowerPolicy {
    fn default() -> Self {
        Self::Always(PowerMode::Active)
    }
}

impl From<PowerMode> for PowerPolicy {
    fn from(mode: PowerMode) -> Self {
        Self::Always(mode)
    }
}

/// Finds the mode from what happens.
#[derive(Debug)]
pub(crate) struct Power {
    policy: PowerPolicy,
    /// When data went or came last.
    used: Instant,
    is_leant_on: bool,
}

impl Power {
    pub(crate) fn new(policy: PowerPolicy, now: Instant) -> Self {
        Self { policy, used: now, is_leant_on: false }
    }

    pub(crate) fn set_policy(&mut self, policy: PowerPolicy, now: Instant) {
        self.policy = policy;
        self.used = now;
    }

    /// Data went over a link, or somebody at this node wanted something sent.
    pub(crate) fn note_use(&mut self, now: Instant) {
        self.used = now;
    }

    /// Whether peers that dialled us are connected.
    pub(crate) fn note_inbound(&mut self, any: bool) {
        self.is_leant_on = any;
    }

    pub(crate) fn mode(&self, now: Instant) -> PowerMode {
        match self.policy {
            PowerPolicy::Always(mode) => mode,
            PowerPolicy::Auto if self.is_leant_on || now < self.used + QUIET => PowerMode::Active,
            PowerPolicy::Auto => PowerMode::Idle,
        }
    }

    /// When the mode changes next if nothing happens. Nothing hangs on the moment, so whoever asks
    /// may look at the next occasion instead.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let until = self.used + QUIET;
        (self.policy == PowerPolicy::Auto && !self.is_leant_on && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_power_rests_after_ten_minutes_without_use() {
        let start = Instant::now();
        let mut power = Power::new(PowerPolicy::Auto, start);
        assert_eq!(
            (power.mode(start), power.poll_timeout(start)),
            (PowerMode::Active, Some(start + QUIET))
        );
        power.note_use(start + QUIET / 2);
        assert_eq!(power.mode(start + QUIET), PowerMode::Active);
        let later = start + QUIET * 3 / 2;
        assert_eq!((power.mode(later), power.poll_timeout(later)), (PowerMode::Idle, None));
        power.note_use(later);
        assert_eq!(power.mode(later), PowerMode::Active);
    }

    #[test]
    fn automatic_power_does_not_rest_while_somebody_leans_on_this_node() {
        let start = Instant::now();
        let mut power = Power::new(PowerPolicy::Auto, start);
        power.note_inbound(true);
        assert_eq!(power.mode(start + 10 * QUIET), PowerMode::Active);
        power.note_inbound(false);
        assert_eq!(power.mode(start + 10 * QUIET), PowerMode::Idle);
    }

    #[test]
    fn a_mode_that_was_told_stays() {
        let start = Instant::now();
        for mode in [PowerMode::Active, PowerMode::Idle, PowerMode::Suspended] {
            let mut power = Power::new(mode.into(), start);
            power.note_use(start);
            assert_eq!((power.mode(start + 10 * QUIET), power.poll_timeout(start)), (mode, None));
        }
    }
}
