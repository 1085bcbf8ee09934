//! Inputs that a generator makes of the committed ones, for where there is no fuzzer: each target gets some for
//! a while. It is blind to what they reach, and only as good as what it begins with.
//!
//! `REPLINK_FUZZ_SECONDS` is how long each target takes (2), `REPLINK_FUZZ_SEED` what the inputs are made of (1),
//! `REPLINK_FUZZ_TARGET` the only one to run. A failure says how to repeat it.

mod inputs;

use std::env;
use std::time::{Duration, Instant};

use inputs::inputs;

/// Counts for the targets that measure. This file has one test, so nobody else allocates meanwhile.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Most inputs for each target.
const INPUTS_MAX: u64 = 1_000_000;

/// Longest input, in bytes.
const LEN_MAX: usize = 2048;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 9] = [
    ("frame_parse", |input| _ = replink_fuzz::frame_parse::run(input)),
    ("acceptor", |input| _ = replink_fuzz::acceptor::run(input)),
    ("dialer", |input| _ = replink_fuzz::dialer::run(input)),
    ("remac", |input| _ = replink_fuzz::remac::run(input)),
    ("exchange", |input| _ = replink_fuzz::exchange::run(input)),
    ("inbound", |input| _ = replink_fuzz::inbound::run_measured(input, || MEMORY.current_usage())),
    ("sealed", |input| _ = replink_fuzz::sealed::run_measured(input, || MEMORY.current_usage())),
    ("ticket", |input| _ = replink_fuzz::ticket::run(input)),
    ("config", |input| _ = replink_fuzz::config::run(input)),
];

#[test]
fn every_target_holds_for_inputs_that_nobody_chose() {
    let number = |name: &str, default| match env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    };
    let (seed, seconds) = (number("REPLINK_FUZZ_SEED", 1), number("REPLINK_FUZZ_SECONDS", 2));
    let only = env::var("REPLINK_FUZZ_TARGET").ok();
    for (target, run) in TARGETS {
        if only.as_ref().is_some_and(|only| only != target) {
            continue;
        }
        let pool = inputs(target).concat();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut made = 0;
        while made < INPUTS_MAX && Instant::now() < deadline {
            let input = make(&pool, &mut Random::new(seed, made));
            let _told = Told { target, seed, input: &input };
            run(&input);
            made += 1;
        }
        println!("{target}: {made} inputs");
    }
}

/// Says on a failure what led to it.
struct Told<'a> {
    target: &'a str,
    seed: u64,
    input: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, seed, input } = self;
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("REPLINK_FUZZ_TARGET={target} REPLINK_FUZZ_SEED={seed}; the input: {hex}");
        }
    }
}

/// One of the pool, changed in a few places; now and then bytes without a pattern.
fn make(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if random.below(16) == 0 {
        let len = random.below(400);
        return random.bytes(len);
    }
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..1 + random.below(6) {
        let from = random.below(input.len() + 1);
        let to = (from + 1 + random.below(16)).min(input.len());
        match random.below(7) {
            0 if from < to => input[from] = random.byte(),
            1 if from < to => input[from] ^= 1 << random.below(8),
            2 if from < to => input[from] = [0, 1, 6, 42, 127, 128, 254, 255][random.below(8)],
            3 => drop(input.drain(from..to)),
            4 => {
                let again = input[from..to].to_vec();
                input.splice(from..from, again);
            }
            5 => {
                let len = 1 + random.below(6);
                input.splice(from..from, random.bytes(len));
            }
            _ => {
                let other = &pool[random.below(pool.len())];
                input.truncate(from);
                input.extend_from_slice(&other[random.below(other.len() + 1).min(other.len())..]);
            }
        }
    }
    input.truncate(LEN_MAX);
    input
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ number);
        random.number();
        random
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.number() as u8
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
