//! What one thread counts in a window.

use std::time::{Duration, Instant};

use crate::course::{Course, Phase};
use crate::thread_cpu_time;

/// Counts for one thread: only what happens in the counted phase, and the processor time in it.
#[derive(Debug)]
pub struct Counter<'a> {
    course: &'a Course,
    phase: Phase,
    bytes: u64,
    frames: u64,
    began: Instant,
    cpu_began: Duration,
    /// Whether something counts, or the processor time alone.
    counts: bool,
    noted: bool,
    ended: Option<(Duration, Duration)>,
}

/// What one thread has counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// Bytes of whole frames.
    pub bytes: u64,
    /// Frames, or whatever else was counted.
    pub frames: u64,
    /// How long it counted.
    pub took: Duration,
    /// The thread's processor time meanwhile.
    pub cpu: Duration,
}

#[allow(clippy::cast_precision_loss, reason = "figures are for people")]
impl Counted {
    /// Bytes a second.
    pub fn bytes_per_second(&self) -> f64 {
        per_second(self.bytes as f64, self.took)
    }

    /// Frames a second.
    pub fn frames_per_second(&self) -> f64 {
        per_second(self.frames as f64, self.took)
    }

    /// Seconds of processor time for each second.
    pub fn cpu_per_second(&self) -> f64 {
        per_second(self.cpu.as_secs_f64(), self.took)
    }
}

/// A thread that did not get to see the counted phase has done nothing.
fn per_second(sum: f64, took: Duration) -> f64 {
    if took.is_zero() { 0.0 } else { sum / took.as_secs_f64() }
}

impl<'a> Counter<'a> {
    /// Has counted nothing. To be made on the thread that counts.
    pub fn new(course: &'a Course) -> Self {
        Self::that(course, true)
    }

    /// For the processor time alone, of an end whose work the other end counts.
    pub fn of_time(course: &'a Course) -> Self {
        Self::that(course, false)
    }

    fn that(course: &'a Course, counts: bool) -> Self {
        course.await_another(counts);
        Self {
            course,
            phase: Phase::WarmUp,
            bytes: 0,
            frames: 0,
            began: Instant::now(),
            cpu_began: thread_cpu_time(),
            counts,
            noted: false,
            ended: None,
        }
    }

    /// One frame of this many bytes.
    #[inline]
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.frames += 1;
    }

    /// Whether the window goes on. To be asked often: phases change here, and only here.
    #[inline]
    pub fn goes_on(&mut self) -> bool {
        let phase = self.course.phase();
        if !self.noted && self.phase == Phase::Counting && (self.frames > 0 || !self.counts) {
            self.note();
        }
        if phase != self.phase {
            self.turn_to(phase);
        }
        phase != Phase::Over
    }

    /// Whether what happens now counts.
    pub fn is_counting(&self) -> bool {
        self.phase == Phase::Counting
    }

    #[cold]
    fn note(&mut self) {
        if !std::mem::replace(&mut self.noted, true) {
            self.course.note();
        }
    }

    #[cold]
    fn turn_to(&mut self, phase: Phase) {
        let (now, cpu) = (Instant::now(), thread_cpu_time());
        if self.phase == Phase::WarmUp {
            (self.bytes, self.frames, self.began, self.cpu_began) = (0, 0, now, cpu);
        }
        if phase == Phase::Over {
            self.ended = Some((now - self.began, cpu.saturating_sub(self.cpu_began)));
        }
        self.phase = phase;
    }

    /// The sum.
    pub fn finish(self) -> Counted {
        let (took, cpu) = self
            .ended
            .unwrap_or_else(|| (self.began.elapsed(), thread_cpu_time().saturating_sub(self.cpu_began)));
        Counted { bytes: self.bytes, frames: self.frames, took, cpu }
    }
}

impl Drop for Counter<'_> {
    /// Nobody waits for a thread that has failed.
    fn drop(&mut self) {
        self.note();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{Placement, Window};

    #[test]
    fn only_the_counted_phase_counts() {
        let course = Course::default();
        let mut counter = Counter::new(&course);
        assert!(counter.goes_on());
        counter.add(1000);
        assert!(!counter.is_counting());
        thread::scope(|scope| {
            scope.spawn(|| {
                while counter.goes_on() {
                    if counter.is_counting() {
                        counter.add(10);
                    }
                }
            });
            course.conduct(Window::new(Duration::ZERO, Placement::Floating));
        });
        assert!(!counter.goes_on() && course.is_over());
        let sum = counter.finish();
        assert!(sum.frames > 0 && sum.bytes == 10 * sum.frames, "{sum:?}");
    }
}
