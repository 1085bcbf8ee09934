//! The threads of a window.

use std::panic::resume_unwind;
use std::thread;

use crate::course::{Course, Window};
use crate::{Counted, Failure};

/// What one thread does in a window: it counts until the course is over.
pub type Task<'a, T = Counted> = Box<dyn FnOnce(&Course) -> Result<T, Failure> + Send + 'a>;

/// Runs each task on a thread of its own for `window`, and returns what they counted, in order. This thread
/// sleeps meanwhile.
///
/// # Errors
///
/// The first task's that fails.
pub fn on_threads<T: Send>(window: Window, tasks: Vec<Task<'_, T>>) -> Result<Vec<T>, Failure> {
    let course = Course::default();
    thread::scope(|scope| {
        let mut spawned = Vec::new();
        for (index, task) in tasks.into_iter().enumerate() {
            let course = &course;
            // So that a profile tells them apart.
            let named = thread::Builder::new().name(format!("end {index}"));
            spawned.push(named.spawn_scoped(scope, move || task(course)));
        }
        if spawned.iter().all(Result::is_ok) {
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
