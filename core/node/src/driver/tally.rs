//! Counts what the core does, for the ledger; see [`Ledger`](crate::ledger::Ledger).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::outside::SleepClock;
use super::peer::Counters;
use crate::ledger::{Cause, ProcessUse, Use};

/// The counts so far.
#[derive(Debug)]
pub(crate) struct Tally {
    started: Instant,
    causes: [Use; Cause::ALL.len()],
    pub(super) sleeps: u64,
    pub(super) network_changes: u64,
}

impl Tally {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, causes: Default::default(), sleeps: 0, network_changes: 0 }
    }

    /// One turn of the core, begun by `cause`, and by the peer of `counters` where it was one.
    pub(crate) fn note(&mut self, cause: Cause, counters: Option<&Counters>, cpu: Duration) {
        let at = Cause::ALL.iter().position(|known| *known == cause);
        if let Some(spent) = at.and_then(|at| self.causes.get_mut(at)) {
            spent.wake_ups = spent.wake_ups.saturating_add(1);
            spent.cpu = spent.cpu.saturating_add(cpu);
        }
        if let Some(counters) = counters {
            let nanos = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
            counters.wake_ups.fetch_add(1, Ordering::Relaxed);
            counters.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn running_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    pub(crate) fn causes(&self) -> Vec<(Cause, Use)> {
        Cause::ALL.into_iter().zip(self.causes).collect()
    }
}

/// Measures the processor time of this thread; only within one turn, which never changes threads.
pub(crate) struct Meter(Option<Duration>);

impl Meter {
    pub(crate) fn start() -> Self {
        Self(thread_time())
    }

    pub(crate) fn stop(self) -> Duration {
        let spent = self.0.and_then(|start| thread_time()?.checked_sub(start));
        spent.unwrap_or_default()
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn thread_time() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    Some(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn thread_time() -> Option<Duration> {
    None
}

/// What the process took, by the system's count.
#[cfg(unix)]
pub(crate) fn process_use() -> Option<ProcessUse> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let duration = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    Some(ProcessUse {
        wake_ups: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
        cpu: duration(usage.user_time()) + duration(usage.system_time()),
    })
}

/// Not told here.
#[cfg(not(unix))]
pub(crate) fn process_use() -> Option<ProcessUse> {
    None
}

/// Notices that the machine slept: the clock of deadlines stands still then, another one does not.
pub(crate) struct SleepWatch {
    clock: SleepClock,
    /// How far the other clock is ahead; none where there is no other.
    ahead: Option<Duration>,
    start: Instant,
}

/// Clocks that are read one after the other differ by far less, and a sleep that short hurts no
/// link.
const SLEPT: Duration = Duration::from_secs(2);

impl SleepWatch {
    pub(crate) fn new(clock: SleepClock, now: Instant) -> Self {
        let mut watch = Self { clock, ahead: None, start: now };
        watch.ahead = watch.measure(now);
        watch
    }

    /// Whether the machine slept since the last call.
    pub(crate) fn slept(&mut self, now: Instant) -> bool {
        let ahead = self.measure(now);
        let slept = is_sleep(self.ahead, ahead);
        self.ahead = ahead;
        slept
    }

    fn measure(&self, now: Instant) -> Option<Duration> {
        (self.clock)()?.checked_sub(now.saturating_duration_since(self.start))
    }
}

/// A clock that is set back says nothing of sleep, and one that is set forward is believed: all
/// that follows is a look at the links.
fn is_sleep(before: Option<Duration>, after: Option<Duration>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if after > before + SLEPT)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn sleep_clock() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    Some(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?.into())
}

/// The wall clock, where there is no better one.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn sleep_clock() -> Option<Duration> {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_ahead_is_a_sleep_and_one_that_is_set_back_is_not() {
        let at = |seconds| Some(Duration::from_secs(seconds));
        assert!(!is_sleep(at(100), at(100)) && !is_sleep(at(100), at(102)));
        assert!(is_sleep(at(100), at(103)) && is_sleep(at(100), at(4000)));
        assert!(!is_sleep(at(100), at(5)) && !is_sleep(None, at(5)) && !is_sleep(at(5), None));
        let now = Instant::now();
        assert!(!SleepWatch::new(std::sync::Arc::new(sleep_clock), now).slept(now));
    }

    #[test]
    fn a_turn_is_told_to_its_cause_and_its_peer() {
        let (mut tally, counters) = (Tally::new(Instant::now()), Counters::default());
        tally.note(Cause::Packets, Some(&counters), Duration::from_micros(5));
        tally.note(Cause::Timer, None, Duration::from_micros(2));
        let causes = tally.causes();
        let of = |cause| causes.iter().find(|(known, _)| *known == cause).unwrap().1;
        let packets = Use { wake_ups: 1, cpu: Duration::from_micros(5) };
        assert_eq!((of(Cause::Packets), of(Cause::Call)), (packets, Use::default()));
        assert_eq!(counters.cpu_nanos.load(Ordering::Relaxed), 5000);
    }
}
