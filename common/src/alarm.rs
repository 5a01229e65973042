//! A timer of the kernel's own.
//!
//! tokio's timers would read the clock twice around every wait for events, which a server of small requests feels;
//! this one costs a system call when it is set and one when it rings.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A timer that rings once each time it is set.
#[derive(Debug)]
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// A timer that is not set. Must be called on a runtime.
    ///
    /// # Errors
    /// When the kernel has no timer or no file descriptor left.
    #[expect(
        deprecated,
        reason = "its successor asks for a promise about types that may give their descriptor away"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    /// Rings in `after`, at once when that is zero; an earlier setting is forgotten.
    pub fn set(&self, after: Duration) {
        let after = after.max(Duration::from_nanos(1)); // zero would switch it off
        let value = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).expect("a timer takes any valid time");
    }

    /// Waits until it rings.
    pub async fn ring(&self) {
        loop {
            let mut ready = self.0.readable().await.expect("the runtime outlives its tasks");
            let mut count = [0; 8];
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut count)?));
            if matches!(read, Ok(Ok(_))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_once_per_setting_and_takes_the_last_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let alarm = Alarm::new().expect("a timer");
            alarm.set(Duration::from_secs(3600));
            alarm.set(Duration::ZERO);
            alarm.ring().await;
            alarm.set(Duration::from_millis(1));
            alarm.ring().await;
        });
    }
}
