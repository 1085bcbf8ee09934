use std::io::{self, IoSlice};
use std::sync::Arc;

/// What bytes are written to: a `Link`, or whatever an embedder or a test puts in its place.
pub trait GatherWrite {
    /// Writes the slices' bytes in order, as many as are taken at once, and returns how many.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is taken now,
    /// [`Interrupted`](io::ErrorKind::Interrupted) when the call is to be made again; any other
    /// error is the end of the link.
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl<W: GatherWrite + ?Sized> GatherWrite for &W {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write_gathered(slices)
    }
}

impl<W: GatherWrite + ?Sized> GatherWrite for Arc<W> {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write_gathered(slices)
    }
}
