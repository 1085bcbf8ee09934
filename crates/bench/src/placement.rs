//! Which cores the ends of a connection run on.

use std::thread;

use crate::Failure;

/// Where the threads of a window run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Each end on a core of its own: the first sender on the first core that this process may use, its receiver
    /// on the second. Further connections take further pairs of cores, and begin anew when there are no more.
    Pinned,
    /// Wherever the system puts them, which may move them meanwhile.
    Floating,
}

/// What a thread is of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It sends, dials, or plays the first frame of a round trip.
    Sender,
    /// It receives, accepts, or answers.
    Receiver,
}

impl Placement {
    /// Its name in figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Floating => "not pinned",
        }
    }

    /// Pinned, unless this machine has no second core for it or does not let threads choose: then the reason comes
    /// along.
    pub fn available() -> (Self, Option<Failure>) {
        // On a thread of its own, which ends: the caller stays where it may be.
        let tried =
            thread::scope(|scope| scope.spawn(|| settle(&Cores::allowed()?, End::Receiver, 0)).join());
        match tried {
            Ok(Ok(())) => (Self::Pinned, None),
            Ok(Err(failure)) => (Self::Floating, Some(failure)),
            Err(_) => (Self::Floating, Some("the thread that tried it panicked".into())),
        }
    }
}

/// The cores that this process may use.
#[derive(Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    /// The core of one end of the connection with this index.
    fn of(&self, end: End, connection: usize) -> usize {
        let pair = connection % (self.0.len() / 2);
        self.0[2 * pair + usize::from(end == End::Receiver)]
    }
}

#[cfg(target_os = "linux")]
impl Cores {
    /// Of this thread.
    ///
    /// # Errors
    ///
    /// When there are less than two of them, or the system does not tell.
    pub(crate) fn allowed() -> Result<Self, Failure> {
        use rustix::thread::{CpuSet, sched_getaffinity};

        let allowed = sched_getaffinity(None)?;
        let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        if cores.len() < 2 { Err("there is one core for both ends".into()) } else { Ok(Self(cores)) }
    }
}

/// This thread stays on its core from now on.
#[cfg(target_os = "linux")]
pub(crate) fn settle(cores: &Cores, end: End, connection: usize) -> Result<(), Failure> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut own = CpuSet::new();
    own.set(cores.of(end, connection));
    Ok(sched_setaffinity(None, &own)?)
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn allowed() -> Result<Self, Failure> {
        Err("threads choose no core on this system".into())
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn settle(_cores: &Cores, _end: End, _connection: usize) -> Result<(), Failure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_cores_of_their_own_and_pairs_begin_anew() {
        let core = |count: usize, connection| {
            let cores = Cores((10..10 + count).collect());
            [End::Sender, End::Receiver].map(|end| cores.of(end, connection))
        };
        assert_eq!([core(2, 0), core(2, 1)], [[10, 11], [10, 11]]);
        assert_eq!([core(5, 0), core(5, 1), core(5, 2)], [[10, 11], [12, 13], [10, 11]]);
    }

    #[test]
    fn whoever_asks_is_not_pinned_itself() {
        let cores = || Cores::allowed().map(|cores| cores.0).ok();
        let before = cores();
        let (placement, reason) = Placement::available();
        assert_eq!(placement == Placement::Floating, reason.is_some());
        assert_eq!(cores(), before);
    }
}
