//! When one sender begins its next operation: as soon as it has fewer than so many open (a closed loop), or at
//! fixed times whatever the router does (an open loop).
//!
//! In an open loop an operation counts from the moment at which it was due, also when it is begun late.

use crate::control::Control;
use crate::options::Window;
use crate::stats::Tally;

/// The pace of one sender.
#[derive(Debug)]
pub(crate) struct Pace {
    in_flight: u32,
    schedule: Option<Schedule>,
    /// Measured operations that may still be begun.
    left: u64,
    /// The socket takes no more for now.
    is_blocked: bool,
}

/// Times at a fixed distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Nanoseconds from the beginning of the load to the first.
    first: f64,
    /// Nanoseconds from one to the next.
    step: f64,
    begun: u64,
}

impl Pace {
    /// The pace of sender `index` of `senders`: they take the operations of a schedule or a count in turn.
    pub(crate) fn new(window: &Window, in_flight: u32, senders: u32, index: u32) -> Pace {
        let senders = u64::from(senders.max(1));
        let left = window
            .count
            .map_or(u64::MAX, |count| count / senders + u64::from(u64::from(index) < count % senders));
        let schedule = window.rate.map(|rate| Schedule::new(rate / senders as f64, index as f64 / rate));
        Pace { in_flight, schedule, left, is_blocked: false }
    }

    /// Begins an operation if one is due, and returns when it was; `is_free` says whether fewer than that many are open.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        control: &Control,
        is_free: impl FnOnce(u32) -> bool,
    ) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        let due = match &mut self.schedule {
            None if control.is_past_window(now) || !is_free(self.in_flight) => return None,
            None => now,
            Some(schedule) => {
                let due = schedule.due(control.load_start());
                if due > now || control.is_past_window(due) || control.has_given_up(now) {
                    return None;
                }
                schedule.begun += 1;
                due
            }
        };
        self.left -= u64::from(due >= control.window_start());
        Some(due)
    }

    /// Notes whether the socket takes more.
    pub(crate) fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
    }

    /// When the next operation of an open loop is due; `None` if something else must happen first.
    pub(crate) fn next_due(&self, control: &Control) -> Option<u64> {
        let due = self.schedule?.due(control.load_start());
        (!self.is_blocked && self.left > 0 && !control.is_past_window(due)).then_some(due)
    }

    /// Whether no operation will be begun any more.
    pub(crate) fn is_over(&self, now: u64, control: &Control) -> bool {
        self.left == 0
            || match self.schedule {
                None => control.is_past_window(now),
                Some(schedule) => {
                    control.is_past_window(schedule.due(control.load_start())) || control.has_given_up(now)
                }
            }
    }

    /// Whether operations are begun at fixed times.
    pub(crate) fn is_open_loop(&self) -> bool {
        self.schedule.is_some()
    }

    /// Counts what was due in the window and never begun; to be called at the end.
    pub(crate) fn count_unsent(&self, control: &Control, tally: &mut Tally) {
        if let Some(schedule) = self.schedule
            && control.window_end() != u64::MAX
        {
            let due = schedule.due(control.load_start());
            let missed = control.window_end().saturating_sub(due) as f64 / schedule.step;
            tally.unsent += missed.ceil() as u64;
        }
    }
}

impl Schedule {
    /// So many a second, the first after so many seconds.
    pub(crate) fn new(rate: f64, first: f64) -> Schedule {
        Schedule { first: first * 1e9, step: 1e9 / rate, begun: 0 }
    }

    /// When the next one is due, if the first one counts from `start`.
    pub(crate) fn due(self, start: u64) -> u64 {
        start.saturating_add((self.first + self.step * self.begun as f64) as u64)
    }

    /// Moves on to the one after.
    pub(crate) fn advance(&mut self) {
        self.begun += 1;
    }
}

/// Beyond this much in a connection's output an open loop waits for the socket, and is late.
pub(crate) const BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::control::Course;

    fn window(rate: Option<f64>, count: Option<u64>) -> Window {
        let second = Duration::from_secs(1);
        Window { duration: Some(second), count, warmup: second, rate, interval: second }
    }

    fn control(window_end: u64) -> Control {
        let control = Control::new();
        control.set_course(Course {
            load_start: 1_000,
            window_start: 2_000,
            window_end,
            give_up_at: 9_000,
            by_due_time: true,
            interval: 500,
        });
        control
    }

    /// Begins all that is due at `now`.
    fn begun(pace: &mut Pace, now: u64, control: &Control) -> Vec<u64> {
        std::iter::from_fn(|| pace.begin(now, control, |_| panic!("an open loop does not ask"))).collect()
    }

    #[test]
    fn a_schedule_is_shared_in_turn_and_kept_when_late() {
        // Ten million a second: one each 100 ns, by two senders.
        let window = window(Some(1e7), None);
        let control = control(3_000);
        let mut paces = [0, 1].map(|index| Pace::new(&window, 1, 2, index));
        assert_eq!(begun(&mut paces[0], 1_250, &control), [1_000, 1_200]);
        assert_eq!(begun(&mut paces[1], 1_250, &control), [1_100]);
        assert_eq!(paces[1].next_due(&control), Some(1_300));
        // The window has ended, but what was due before that is still owed.
        assert!(!paces[0].is_over(4_000, &control));
        assert_eq!(begun(&mut paces[0], 4_000, &control).len(), 8);
        assert!(paces[0].is_over(4_000, &control));
        assert_eq!(paces[0].next_due(&control), None);
        let mut tally = Tally::new();
        paces[0].count_unsent(&control, &mut tally);
        assert_eq!(tally.unsent, 0);
        paces[1].count_unsent(&control, &mut tally);
        assert_eq!(tally.unsent, 9);
        assert!(paces[1].is_over(9_000, &control), "too late for the rest");
        assert_eq!(begun(&mut paces[1], 9_000, &control), [0; 0]);
    }

    #[test]
    fn a_count_is_that_of_the_window_over_all_senders() {
        let window = window(Some(1e7), Some(5));
        let control = control(u64::MAX);
        let mut all = Vec::new();
        for index in 0..2 {
            let mut pace = Pace::new(&window, 1, 2, index);
            all.extend(begun(&mut pace, 8_000, &control));
            assert!(pace.is_over(8_000, &control));
        }
        assert_eq!(all.iter().filter(|&&due| due >= 2_000).count(), 5);
        assert_eq!(all.iter().filter(|&&due| due < 2_000).count(), 10, "the warm-up is not counted");
    }

    #[test]
    fn a_closed_loop_follows_what_is_open() {
        let control = control(3_000);
        let mut pace = Pace::new(&window(None, None), 2, 1, 0);
        assert_eq!(pace.begin(1_500, &control, |in_flight| 1 < in_flight), Some(1_500));
        assert_eq!(pace.begin(1_500, &control, |in_flight| 2 < in_flight), None);
        assert_eq!(pace.begin(3_000, &control, |_| true), None, "the window is over");
        assert!(pace.is_over(3_000, &control));
        assert_eq!(pace.next_due(&control), None);
    }

    #[test]
    fn a_blocked_sender_waits_for_its_socket() {
        let control = control(3_000);
        let mut pace = Pace::new(&window(Some(1e7), None), 1, 1, 0);
        assert_eq!(pace.next_due(&control), Some(1_000));
        pace.set_blocked(true);
        assert_eq!(pace.next_due(&control), None);
    }
}
