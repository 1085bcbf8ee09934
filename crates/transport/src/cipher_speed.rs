//! How fast the cipher of sealed links is on this processor (section 5).

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aegis::aegis128x2::Aegis128X2;
use replink_handshake::{RECORD_CIPHERTEXT_MAX, RECORD_TAG_LEN};

/// Megabytes in a second below which the cipher is slow: any processor with instructions for AES does several
/// times as much, and software on a fast one a tenth of it.
pub const CIPHER_SLOW_MEGABYTES: u64 = 2000;

/// Records that are sealed between two looks at the clock: a coarse one has to do.
const ROUND_RECORDS: u32 = 4;

/// Rounds at most, less than a millisecond on a processor with AES.
const ROUNDS_MAX: u32 = 32;

/// No round begins when so much time has passed.
const MEASURING_MAX: Duration = Duration::from_millis(2);

/// What the cipher of sealed links did when it was measured.
///
/// No configuration says how fast it will be: one crate that turns on the feature `pure-rust` of the crate `aegis`
/// slows every link of the program a hundredfold, and so does a processor without instructions for AES.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CipherSpeed {
    megabytes_per_second: u64,
}

impl CipherSpeed {
    /// The cipher's name.
    pub const CIPHER: &'static str = "AEGIS-128X2";

    /// Seals whole records for a few milliseconds at most, by the clock that `now` reads.
    pub fn measure(mut now: impl FnMut() -> Instant) -> Self {
        let mut record = vec![0; RECORD_CIPHERTEXT_MAX];
        let began = now();
        let mut before = began;
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS_MAX {
            for nonce in 0..ROUND_RECORDS {
                seal(&mut record, nonce);
            }
            let after = now();
            // The fastest round is the cipher; all others are the cipher and what else the machine does.
            least = least.min(after.saturating_duration_since(before));
            before = after;
            if after.saturating_duration_since(began) >= MEASURING_MAX {
                break;
            }
        }
        Self::of(u64::from(ROUND_RECORDS) * RECORD_CIPHERTEXT_MAX as u64, least)
    }

    /// That of a cipher which took `took` for `bytes`.
    pub fn of(bytes: u64, took: Duration) -> Self {
        // A byte in a nanosecond is a gigabyte in a second.
        let megabytes = u128::from(bytes) * 1000 / took.as_nanos().max(1);
        Self { megabytes_per_second: u64::try_from(megabytes).unwrap_or(u64::MAX) }
    }

    /// In megabytes (10^6 bytes) in a second, of one thread that does nothing else.
    pub fn megabytes_per_second(self) -> u64 {
        self.megabytes_per_second
    }

    /// In gigabytes (10^9 bytes) in a second, likewise.
    #[expect(clippy::cast_precision_loss, reason = "a speed has no 15 digits")]
    pub fn gigabytes_per_second(self) -> f64 {
        self.megabytes_per_second as f64 / 1000.0
    }

    /// What an operator should know, where the cipher holds sealed links up.
    pub fn warning(self) -> Option<SlowCipher> {
        (self.megabytes_per_second < CIPHER_SLOW_MEGABYTES).then_some(SlowCipher(self))
    }
}

/// As in `20.1 GB/s`.
impl fmt::Display for CipherSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundreds = self.megabytes_per_second.saturating_add(50) / 100;
        write!(f, "{}.{} GB/s", hundreds / 10, hundreds % 10)
    }
}

/// That the cipher is slow; its text says why that may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowCipher(CipherSpeed);

impl fmt::Display for SlowCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sealed links are slow here: their cipher, {}, was measured at {}, where processors with AES do 10 GB/s \
             and more; either this processor or its virtual machine has no AES instructions, or another crate turns on \
             the feature pure-rust of the crate aegis (`cargo tree -e features -i aegis` says which)",
            CipherSpeed::CIPHER,
            self.0
        )
    }
}

/// What sealing one record takes, but for deriving its key. There is no secret in it.
fn seal(record: &mut [u8], nonce: u32) {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&nonce.to_le_bytes());
    let tag = Aegis128X2::<RECORD_TAG_LEN>::new(&key, &[0; 16]).encrypt_in_place(record, &[]);
    black_box((record, tag));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A clock that goes on by the next of `steps` whenever it is looked at, and then stands.
    fn clock(steps: impl IntoIterator<Item = Duration>) -> impl FnMut() -> Instant {
        let (mut now, mut steps) = (Instant::now(), steps.into_iter());
        move || {
            now += steps.next().unwrap_or_default();
            now
        }
    }

    #[test]
    fn the_fastest_round_counts() {
        let micros = Duration::from_micros;
        // The first step is the first look at the clock.
        let speed = CipherSpeed::measure(clock([micros(900), micros(80), micros(16), micros(3000)]));
        assert_eq!(speed.megabytes_per_second(), 16_384, "256 KiB in 16 us");
        assert_eq!((speed.to_string(), speed.warning()), ("16.4 GB/s".to_owned(), None));
    }

    #[test]
    fn it_stops_when_time_is_up() {
        let looks = Cell::new(0);
        let mut steps = clock([Duration::from_millis(1); 40]);
        let speed = CipherSpeed::measure(|| {
            looks.set(looks.get() + 1);
            steps()
        });
        assert_eq!((looks.get(), speed.to_string()), (3, "0.3 GB/s".to_owned()));
        assert!(speed.warning().unwrap().to_string().contains("measured at 0.3 GB/s"));
        // And it stops by a clock that stands.
        assert_eq!(CipherSpeed::measure(clock([])).warning(), None);
    }

    #[test]
    fn below_two_gigabytes_in_a_second_is_slow() {
        let speed = |megabytes| CipherSpeed::of(megabytes, Duration::from_millis(1) / 1000);
        for (megabytes, shown, slow) in
            [(1999, "2.0 GB/s", true), (2000, "2.0 GB/s", false), (34_960, "35.0 GB/s", false)]
        {
            let speed = speed(megabytes);
            assert_eq!(speed.megabytes_per_second(), megabytes);
            assert_eq!((speed.to_string().as_str(), speed.warning().is_some()), (shown, slow));
        }
        assert_eq!(CipherSpeed::of(u64::MAX, Duration::ZERO).megabytes_per_second(), u64::MAX);
    }
}
