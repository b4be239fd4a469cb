//! A model of the path to one /64: how much it carries, how long it takes, how much may be on it.
//!
//! Bottleneck rate and shortest round trip are measured from acknowledgements; the window is a
//! little over their product and chunks leave at the measured rate. So a chunk lost on a radio slows
//! nothing down, and a queue on the way stays short. Only losses of a tenth of a round and more,
//! which is a queue running over, set a ceiling. Receivers notice none of this.
//!
//! Tried and rejected: halving the window at each loss, which on a path of 100 ms that loses two
//! chunks of a hundred leaves a tenth of the rate.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What may be on the way before anything was measured: 20 full chunks (the figure of the spec's
/// recommendation for a start, in bytes of packets).
const FIRST_WINDOW: u64 = 20 * 1408;
/// Never less: a lone lost packet must be seen by those after it.
const SMALLEST_WINDOW: u64 = 8 * 1408;
/// More only waits in queues.
const LARGEST_WINDOW: u64 = 2 << 20;
/// Round trips shorter than this count as this long: timers and batches take as much.
const SHORTEST_ROUND: Duration = Duration::from_millis(5);
/// Before the first answer; then at least [`SHORTEST_TIMEOUT`].
const FIRST_TIMEOUT: Duration = Duration::from_millis(300);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// However often a message was repeated.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Rounds over which the largest rate counts.
const RATE_ROUNDS: u64 = 10;
/// How long a shortest round trip is believed; and how long the path then runs half empty to measure
/// it anew.
const ROUND_TRIP_AGE: Duration = Duration::from_secs(10);
const MEASURING: Duration = Duration::from_millis(200);
/// A path that was idle for longer may be another one now.
const IDLE: Duration = Duration::from_secs(10);
/// Rounds without a quarter more rate after which the path counts as full.
const FLAT_ROUNDS: u32 = 3;
/// What may leave at once besides the pace, in time: a sleep is no more exact.
const CREDIT: Duration = Duration::from_millis(2);
/// And at least so many bytes.
const CREDIT_BYTES: f64 = 4.0 * 1408.0;
/// Of eight rounds one asks for more, one makes up for it.
const GAINS: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// Window by rate and round trip, while the rate is looked for and then.
const SEARCHING_GAIN: f64 = 2.0;
const WINDOW_GAIN: f64 = 1.25;

/// What a chunk takes along when it is sent, to measure the rate by when it is acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) sent: Instant,
    delivered: u64,
    delivered_at: Instant,
    /// When the chunk was sent whose acknowledgement was the latest then.
    first_sent: Instant,
    /// Whether the sender had less to send than was possible.
    is_limited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Doubling until the rate grows no more.
    Searching { flat: u32 },
    /// At the rate, asking now and then whether there is more.
    Cruising { phase: usize, since: Instant },
}

#[derive(Debug)]
pub(super) struct Path {
    mode: Mode,
    in_flight: u64,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    /// Largest rates in bytes per second with their rounds, falling.
    rates: VecDeque<(u64, f64)>,
    /// The rate the search has reached.
    searched: f64,
    round: u64,
    /// The round ends when something is acknowledged that was sent after this much was delivered.
    round_end: u64,
    /// Bytes acknowledged and lost in this round.
    counts: (u64, u64),
    ceiling: Option<u64>,
    shortest: Option<(Duration, Instant)>,
    /// Until when the path runs half empty, and the shortest round trip meanwhile.
    measuring: Option<(Instant, Option<Duration>)>,
    smoothed: Option<(Duration, Duration)>,
    next_send: Instant,
    last_sent: Instant,
    /// Send time of the latest chunk that is known to have arrived.
    newest: Option<Instant>,
    is_limited: bool,
    is_silent: bool,
}

impl Path {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            mode: Mode::Searching { flat: 0 },
            in_flight: 0,
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            rates: VecDeque::new(),
            searched: 0.0,
            round: 0,
            round_end: 0,
            counts: (0, 0),
            ceiling: None,
            shortest: None,
            measuring: None,
            smoothed: None,
            next_send: now,
            last_sent: now,
            newest: None,
            is_limited: false,
            is_silent: false,
        }
    }

    /// Whether the window has room for a chunk.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight < self.window()
    }

    /// When the next chunk may leave by the pace; none is now. Over a short path there is none: the
    /// answers set it, and a timer is coarser than they are.
    pub(super) fn next_send(&self, now: Instant) -> Option<Instant> {
        let is_short = self.shortest.is_some_and(|(shortest, _)| shortest < SHORTEST_ROUND);
        (!is_short && self.next_send > now).then_some(self.next_send)
    }

    /// There is room and nothing to send.
    pub(super) fn note_limited(&mut self) {
        self.is_limited = true;
    }

    /// Something is sent after nothing was on the way.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.in_flight == 0 && now.saturating_duration_since(self.last_sent) > IDLE {
            *self = Self { smoothed: self.smoothed, ..Self::new(now) };
        }
    }

    pub(super) fn sent(&mut self, bytes: u64, now: Instant) -> Stamp {
        if self.in_flight == 0 {
            (self.first_sent, self.delivered_at) = (now, now);
        }
        self.in_flight += bytes;
        self.last_sent = now;
        if let Some(pace) = self.pace() {
            let credit = CREDIT.max(Duration::from_secs_f64((CREDIT_BYTES / pace).min(1.0)));
            let earliest = now.checked_sub(credit).unwrap_or(now);
            let takes = Duration::from_secs_f64((bytes as f64 / pace).min(1.0));
            self.next_send = self.next_send.max(earliest) + takes;
        }
        Stamp {
            sent: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            is_limited: self.is_limited,
        }
    }

    /// What was on the way is not any more, and nobody knows whether it arrived.
    pub(super) fn forget(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    pub(super) fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.counts.1 += bytes;
    }

    /// Nothing was answered for too long: little is sent until something is.
    pub(super) fn silent(&mut self) {
        self.is_silent = true;
    }

    /// A chunk arrived; `flying` bytes of it counted as on the way, and `once` says that it was sent
    /// only once, so that the time it took is known.
    pub(super) fn arrived(
        &mut self,
        stamp: &Stamp,
        bytes: u64,
        flying: u64,
        once: bool,
        now: Instant,
    ) {
        let full = self.in_flight;
        self.in_flight = self.in_flight.saturating_sub(flying);
        self.delivered += bytes;
        self.delivered_at = now;
        self.counts.0 += bytes;
        self.is_silent = false;
        if once {
            self.first_sent = self.first_sent.max(stamp.sent);
            self.newest = self.newest.max(Some(stamp.sent));
            self.measure(now.saturating_duration_since(stamp.sent), now);
        }
        let sending = stamp.sent.saturating_duration_since(stamp.first_sent);
        let arriving = now.saturating_duration_since(stamp.delivered_at);
        let took = sending.max(arriving);
        // Nothing is acknowledged in less than a round trip but what was sent twice.
        if self.shortest.is_some_and(|(shortest, _)| took >= shortest) && !took.is_zero() {
            let rate = (self.delivered - stamp.delivered) as f64 / took.as_secs_f64();
            if !stamp.is_limited || self.rate().is_none_or(|known| rate > known) {
                self.add_rate(rate);
            }
        }
        if stamp.delivered >= self.round_end {
            self.end_round(full, now);
        }
        self.advance(now);
    }

    /// A round trip was seen. Smoothing as in RFC 6298.
    pub(super) fn measure(&mut self, round_trip: Duration, now: Instant) {
        self.smoothed = Some(match self.smoothed {
            None => (round_trip, round_trip / 2),
            Some((mean, variation)) => {
                ((mean * 7 + round_trip) / 8, (variation * 3 + mean.abs_diff(round_trip)) / 4)
            }
        });
        if self.shortest.is_none_or(|(shortest, _)| round_trip <= shortest) {
            self.shortest = Some((round_trip, now));
        }
        if let Some((_, seen)) = &mut self.measuring {
            *seen = Some(seen.map_or(round_trip, |seen| seen.min(round_trip)));
        }
    }

    /// How long to wait for an answer that stayed out `repeats` times.
    pub(super) fn timeout(&self, repeats: u32) -> Duration {
        let once = self.smoothed.map_or(FIRST_TIMEOUT, |(mean, variation)| mean + variation * 4);
        let once = once.max(SHORTEST_TIMEOUT);
        once.saturating_mul(1 << repeats.min(7)).min(LONGEST_TIMEOUT)
    }

    /// Whether a chunk sent then and not acknowledged is lost: one that was sent later has arrived,
    /// and it had its time and a quarter more to be overtaken.
    pub(super) fn is_lost(&self, sent: Instant, now: Instant) -> bool {
        let Some(newest) = self.newest else { return false };
        let Some((mean, variation)) = self.smoothed else { return false };
        let patience = mean + (mean / 4).max(variation).max(Duration::from_millis(2));
        sent < newest && now.saturating_duration_since(sent) > patience
    }

    fn rate(&self) -> Option<f64> {
        self.rates.front().map(|(_, rate)| *rate)
    }

    /// Bytes per second at which chunks leave. While the rate is looked for, the first window may take
    /// a round trip: what a short message measured is its own length, not the path.
    fn pace(&self) -> Option<f64> {
        let pace = self.rate()? * self.gain();
        Some(match (self.mode, self.shortest) {
            (Mode::Searching { .. }, Some((shortest, _))) => {
                pace.max(FIRST_WINDOW as f64 / shortest.max(SHORTEST_ROUND).as_secs_f64())
            }
            _ => pace,
        })
    }

    fn gain(&self) -> f64 {
        match self.mode {
            Mode::Searching { .. } => SEARCHING_GAIN,
            Mode::Cruising { phase, .. } => GAINS.get(phase).copied().unwrap_or(1.0),
        }
    }

    fn window(&self) -> u64 {
        let (Some(rate), Some((shortest, _))) = (self.rate(), self.shortest) else {
            return FIRST_WINDOW;
        };
        if self.is_silent {
            return SMALLEST_WINDOW;
        }
        let product = rate * shortest.max(SHORTEST_ROUND).as_secs_f64();
        let window = match (self.measuring, self.mode) {
            (Some(_), _) => product * 0.5,
            (None, Mode::Searching { .. }) => (product * SEARCHING_GAIN).max(FIRST_WINDOW as f64),
            (None, Mode::Cruising { .. }) => product * WINDOW_GAIN + CREDIT_BYTES,
        };
        let ceiling = self.ceiling.unwrap_or(LARGEST_WINDOW);
        (window as u64).min(ceiling).clamp(SMALLEST_WINDOW, LARGEST_WINDOW)
    }

    fn add_rate(&mut self, rate: f64) {
        while self.rates.back().is_some_and(|(_, smaller)| *smaller <= rate) {
            self.rates.pop_back();
        }
        self.rates.push_back((self.round, rate));
        while self.rates.len() > 1
            && self.rates.front().is_some_and(|(round, _)| round + RATE_ROUNDS < self.round)
        {
            self.rates.pop_front();
        }
    }

    fn end_round(&mut self, in_flight: u64, now: Instant) {
        self.round += 1;
        self.round_end = self.delivered;
        let (arrived, lost) = std::mem::take(&mut self.counts);
        let is_crowded = lost * 8 > arrived + lost && lost > 3 * 1408;
        if is_crowded {
            self.ceiling = Some((in_flight / 10 * 7).max(SMALLEST_WINDOW));
        } else if let Some(ceiling) = &mut self.ceiling {
            *ceiling += *ceiling / 8;
            if *ceiling > LARGEST_WINDOW {
                self.ceiling = None;
            }
        }
        let rate = self.rate().unwrap_or(0.0);
        if let Mode::Searching { flat } = &mut self.mode
            && !self.is_limited
        {
            *flat += 1;
            if rate > self.searched * 1.25 {
                (self.searched, *flat) = (rate, 0);
            }
            if *flat >= FLAT_ROUNDS || is_crowded {
                // First the phase that gives back what the search has put into queues.
                self.mode = Mode::Cruising { phase: 1, since: now };
            }
        }
        self.is_limited = false;
    }

    /// What follows from time going by.
    fn advance(&mut self, now: Instant) {
        let Some((shortest, seen)) = self.shortest else { return };
        if let Some((until, measured)) = self.measuring {
            if until <= now {
                self.measuring = None;
                self.shortest = Some((measured.unwrap_or(shortest), now));
            }
        } else if now.saturating_duration_since(seen) > ROUND_TRIP_AGE {
            self.measuring = Some((now + MEASURING.max(shortest * 2), None));
        }
        if let Mode::Cruising { phase, since } = &mut self.mode
            && now.saturating_duration_since(*since) >= shortest.max(SHORTEST_ROUND)
        {
            *phase = (*phase + 1) % GAINS.len();
            *since = now;
        }
    }
}
