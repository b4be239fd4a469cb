//! Links that take packets and bring nothing: noticed in seconds instead of in the 43 that a peer may
//! leave Hellos unanswered.
//!
//! Only traffic makes a link suspect. When nothing came back for [`SUSPICIOUS`] after a data packet
//! was sent, one extra Hello goes out, which a living peer answers at once; when that brings nothing
//! either, not even packets, the link's routes are avoided until an IHU arrives. The link stays
//! open, and its peer is told what it needs when it wakes up. An idle link is never probed.
//!
//! One Hello at most may be unanswered, since an IHU does not say which it answers. So a slow answer
//! cannot be told from a lost one, and what is waited for follows the round trips seen last: a link
//! of 1 s is given 2 s, and one whose queues hold answers up for longer is misjudged once.

use std::time::{Duration, Instant};

use super::neighbour::{Neighbour, Purpose};
use super::{Router, RouterOutput, Timer};
use crate::LinkId;

/// How long a link may bring nothing after a packet was sent. Most answers take less. With the
/// patience below, and a quarter of a second in which packets beside the core go unnoticed, a silent
/// link is left within 3 s.
const SUSPICIOUS: Duration = Duration::from_millis(400);
/// How long a Hello is waited for at least: three lost segments in a row at the shortest time-outs.
const PATIENCE: Duration = Duration::from_millis(1900);
/// And where no round trip is known yet.
const PATIENCE_UNKNOWN: Duration = Duration::from_millis(2200);
/// And at most, whatever the link did before.
const PATIENCE_MOST: Duration = Duration::from_secs(6);

/// What one link did with the packets it was given.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The first data packet sent since the link last brought anything.
    unanswered: Option<Instant>,
    /// For which of those a Hello was sent.
    probed: Option<Instant>,
    /// When the link is looked at next.
    due: Option<Instant>,
    is_silent: bool,
    /// The next round trip is that of a link which works again, and what was before is past.
    is_settling: bool,
    /// The longest round trip lately.
    round_trip: Option<Duration>,
}

impl Silence {
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    pub(super) fn note_round_trip(&mut self, took: Duration) {
        let before = self.round_trip.unwrap_or_default() / 2;
        let is_fresh = std::mem::take(&mut self.is_settling);
        self.round_trip = Some(if is_fresh { took } else { before.max(took) });
    }

    fn patience(&self) -> Duration {
        let patience = |took: Duration| (2 * took).clamp(PATIENCE, PATIENCE_MOST);
        self.round_trip.map_or(PATIENCE_UNKNOWN, patience)
    }
}

impl Router {
    /// Data packets went over a link, or came over it, since this was last called. A link that
    /// carries traffic and brings nothing is probed, and then avoided.
    pub fn note_traffic(&mut self, link: LinkId, sent: u32, received: u32, now: Instant) {
        if received > 0 {
            self.note_heard(link);
        } else if sent > 0 {
            self.note_sent(link, now);
        }
    }

    /// The link brought something: it is alive.
    pub(super) fn note_heard(&mut self, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&link) {
            neighbour.silence.unanswered = None;
        }
    }

    fn note_sent(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        let silence = &mut neighbour.silence;
        if silence.is_silent || silence.unanswered.is_some() {
            return;
        }
        silence.unanswered = Some(now);
        // After an answered probe the link is still due only when that one's time is over.
        let suspicious = now + SUSPICIOUS;
        if silence.due.is_none_or(|due| due > suspicious) {
            silence.due = Some(suspicious);
            self.timers.set(Timer::Silence(link), suspicious);
        }
    }

    /// A packet may have been unanswered for long enough.
    pub(super) fn judge_silence(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        let silence = &mut neighbour.silence;
        silence.due = None;
        let Some(since) = silence.unanswered else { return };
        if silence.probed == Some(since) {
            silence.is_silent = true;
            self.counters.silences += 1;
            self.output(RouterOutput::LinkSilent { link });
            return self.reselect_link(link, now);
        }
        let suspicious = since + SUSPICIOUS;
        if now < suspicious {
            silence.due = Some(suspicious);
            return self.timers.set(Timer::Silence(link), suspicious);
        }
        silence.probed = Some(since);
        let verdict = now + silence.patience();
        silence.due = Some(verdict);
        self.timers.set(Timer::Silence(link), verdict);
        self.counters.probes += 1;
        self.ask_hello(link, Purpose::Question, now);
    }

    /// An IHU came: whatever was thought of the link, it works. How long it took says how long the
    /// peer was away, so another Hello asks how fast the link is now.
    pub(super) fn end_silence(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if std::mem::take(&mut neighbour.silence.is_silent) {
            neighbour.silence.unanswered = None;
            neighbour.silence.is_settling = true;
            self.output(RouterOutput::LinkSpeaks { link });
            self.ask_hello(link, Purpose::Question, now);
            self.reselect_link(link, now);
        }
    }

    /// Looks anew at every prefix with a route over this link.
    fn reselect_link(&mut self, link: LinkId, now: Instant) {
        for prefix in self.table.prefixes_of(link) {
            let before = self.table.selected(prefix).copied();
            self.reselect(prefix, before, now);
        }
    }

    pub(super) fn is_silent(&self, link: LinkId) -> bool {
        let silent = |neighbour: &Neighbour| neighbour.silence.is_silent();
        self.neighbours.get(&link).is_none_or(silent)
    }
}
