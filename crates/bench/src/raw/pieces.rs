use std::fmt;

/// How much each system call of raw TCP may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pieces {
    /// Bytes of each write.
    pub write_bytes: usize,
    /// Room of each read.
    pub read_bytes: usize,
}

impl Pieces {
    /// Where nothing was tried.
    pub const DEFAULT: Self = Self { write_bytes: 64 << 10, read_bytes: 64 << 10 };

    /// A write has whole frames where it has room for one, or else a part of one.
    pub(super) fn of_frames(self, size: usize) -> Self {
        let frames = self.write_bytes.checked_div(size).unwrap_or(0);
        let write_bytes = if frames == 0 { self.write_bytes } else { frames * size };
        Self { write_bytes, ..self }
    }
}

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writes of {} KiB, reads of {} KiB", self.write_bytes >> 10, self.read_bytes >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_have_whole_frames_where_there_is_room() {
        let write = |write_bytes, size| Pieces { write_bytes, ..Pieces::DEFAULT }.of_frames(size).write_bytes;
        assert_eq!([write(1000, 256), write(1024, 256), write(1000, 1001)], [768, 1024, 1000]);
    }
}
