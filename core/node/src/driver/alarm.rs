//! Waits for the core's next deadline, waking nothing before it.
//!
//! The runtime's timers are a wheel whose slots get finer as a deadline comes nearer, and the
//! process wakes up for every step: three times for a timer of twenty seconds. So what is far away
//! is waited for with a timer of the system, which fires once. It is one that goes on counting
//! while the machine sleeps, so the node notices that when the machine is awake again; the core's
//! own clock stands still meanwhile, so the deadline is then set anew.

use std::time::{Duration, Instant};

/// What is nearer than this is left to the runtime: it costs at most one step, and no system call.
const NEAR: Duration = Duration::from_millis(1000);

/// One timer, for one waiter.
#[derive(Debug)]
pub(crate) struct Alarm {
    system: Option<system::Timer>,
}

impl Alarm {
    /// Needs a runtime with I/O. Where the system has no such timer, the runtime's is used.
    pub(crate) fn new() -> Self {
        Self { system: system::Timer::new() }
    }

    /// Returns at the deadline, or early when the machine slept; without one, never. Cancelling
    /// loses nothing.
    pub(crate) async fn wait(&mut self, deadline: Option<Instant>, now: Instant) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        match &mut self.system {
            Some(timer) if deadline > now + NEAR => timer.wait(deadline, now).await,
            _ => tokio::time::sleep_until(deadline.into()).await,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::time::Instant;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    struct File(TimerFd);

    impl AsRawFd for File {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    #[derive(Debug)]
    pub(super) struct Timer {
        file: AsyncFd<File>,
        set_to: Option<Instant>,
    }

    impl Timer {
        #[allow(
            deprecated,
            reason = "its successor is unsafe; File owns its descriptor and never gives another"
        )]
        pub(super) fn new() -> Option<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).ok()?;
            Some(Self { file: AsyncFd::new(File(timer)).ok()?, set_to: None })
        }

        pub(super) async fn wait(&mut self, deadline: Instant, now: Instant) {
            if self.set_to != Some(deadline) {
                let wait = TimeSpec::from_duration(deadline.saturating_duration_since(now));
                let once = Expiration::OneShot(wait);
                if self.file.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                    return tokio::time::sleep_until(deadline.into()).await;
                }
                self.set_to = Some(deadline);
            }
            loop {
                let Ok(mut ready) = self.file.readable().await else {
                    return tokio::time::sleep_until(deadline.into()).await;
                };
                // It may have been set anew since it was ready: then there is nothing to read.
                let fired = ready.get_inner().0.wait().is_ok();
                ready.clear_ready();
                if fired {
                    self.set_to = None;
                    return;
                }
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::time::Instant;

    #[derive(Debug)]
    pub(super) enum Timer {}

    impl Timer {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) async fn wait(&mut self, _: Instant, _: Instant) {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn near_and_far_deadlines_are_kept_and_can_be_moved() {
        let mut alarm = Alarm::new();
        let start = Instant::now();
        // Set far away and given up, as whenever something else happens first.
        for far in [60, 30, 2] {
            let far = start + Duration::from_secs(far);
            let waited =
                tokio::time::timeout(Duration::from_millis(1), alarm.wait(Some(far), start));
            waited.await.unwrap_err();
        }
        for wait in [1050, 20, 1100] {
            let start = Instant::now();
            let deadline = start + Duration::from_millis(wait);
            alarm.wait(Some(deadline), start).await;
            assert!(Instant::now() >= deadline, "{wait}");
        }
        let never = tokio::time::timeout(Duration::from_millis(1), alarm.wait(None, start));
        never.await.unwrap_err();
    }
}
