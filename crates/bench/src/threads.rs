//! The threads of a window.

use std::fmt;
use std::panic::resume_unwind;
use std::thread;

use crate::course::{Course, Window};
use crate::placement::{Cores, End, Placement, settle};
use crate::{Counted, Failure};

type Run<'a, T> = Box<dyn FnOnce(&Course) -> Result<T, Failure> + Send + 'a>;

/// What one thread does in a window: it counts until the course is over.
pub struct Task<'a, T = Counted> {
    end: End,
    run: Run<'a, T>,
}

impl<'a, T> Task<'a, T> {
    /// Of an end that sends, dials, or plays the first frame.
    pub fn sending(run: impl FnOnce(&Course) -> Result<T, Failure> + Send + 'a) -> Self {
        Self { end: End::Sender, run: Box::new(run) }
    }

    /// Of an end that receives, accepts, or answers.
    pub fn receiving(run: impl FnOnce(&Course) -> Result<T, Failure> + Send + 'a) -> Self {
        Self { end: End::Receiver, run: Box::new(run) }
    }
}

impl<T> fmt::Debug for Task<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("end", &self.end).finish_non_exhaustive()
    }
}

/// Runs each task on a thread of its own for `window`, where the window's placement says, and returns what they
/// counted, in order. This thread sleeps meanwhile.
///
/// # Errors
///
/// The first task's that fails; also when threads are to be pinned and can't be.
pub fn on_threads<T: Send>(window: Window, tasks: Vec<Task<'_, T>>) -> Result<Vec<T>, Failure> {
    let course = Course::default();
    let cores = match window.placement {
        Placement::Pinned => Some(Cores::allowed()?),
        Placement::Floating => None,
    };
    // The first sender's connection is that of the first receiver, and so on.
    let (mut senders, mut receivers) = (0, 0);
    thread::scope(|scope| {
        let mut spawned = Vec::new();
        for (index, Task { end, run }) in tasks.into_iter().enumerate() {
            let (course, cores) = (&course, cores.as_ref());
            let count = if end == End::Sender { &mut senders } else { &mut receivers };
            let connection = *count;
            *count += 1;
            // So that a profile tells them apart.
            let named = thread::Builder::new().name(format!("end {index}"));
            spawned.push(named.spawn_scoped(scope, move || {
                course.begin();
                if let Some(cores) = cores {
                    settle(cores, end, connection)?;
                }
                run(course)
            }));
        }
        if spawned.iter().all(Result::is_ok) {
            course.await_threads(spawned.len());
            course.conduct(window);
        } else {
            course.end();
        }
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        spawned.into_iter().map(|thread| join(thread?)).collect()
    })
}
