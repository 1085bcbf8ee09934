//! Seeds of the exchange: all pairs of ends, each kind of address before an honest one, pieces of all sizes,
//! and each disturbance at each step.

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    // Rings and versions of a dialer, with what it offers; an acceptor's authentication, flags and versions.
    for dialer in 0..32 {
        for acceptor in [0, 1, 4, 12] {
            seeds.push(vec![dialer, acceptor, 1]);
        }
    }
    // Busy, draining, and refused when it is proved: as they are, and drip by drip.
    for acceptor in [0x20, 0x30, 0x40] {
        seeds.push(vec![0, acceptor, 1]);
        seeds.push([vec![0, acceptor, 1], [0, 0, 1, 0].repeat(300)].concat());
    }
    // Each kind of address before an honest one.
    for first in 0..4 {
        for dialer in [0, 1] {
            seeds.push(vec![dialer, 0, 2 | first << 2]);
            for second in 0..4 {
                seeds.push(vec![dialer, 0, 3 | first << 2 | second << 4]);
            }
        }
    }
    // Somebody without a key says something, in pieces, and closes or not.
    for (end, said) in [b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10), vec![0; 256], vec![15; 300]]
        .into_iter()
        .flat_map(|said| [false, true].map(|end| (end, said.clone())))
    {
        let mut seed = vec![0, 0, 2 | 1 << 2, 0, 255, 0, 255];
        for piece in said.chunks(200) {
            seed.extend([0x85, piece.len() as u8 - 1]);
            seed.extend(piece);
        }
        seed.extend([0, 17].repeat(20));
        seed.extend(if end { &[0x84, 0][..] } else { &[] });
        seeds.push(seed);
    }
    // Pieces, and one disturbance behind so many steps: by time, error, end, bytes, a bit, a call.
    for steps in 0..8 {
        for disturbance in [2, 3, 4, 5, 6, 7].into_iter().flat_map(|action| [action, action | 0x80]) {
            let head = [if steps < 6 { 4 } else { 3 }, 0, 2];
            let script = [0, 255, 1, 255].repeat(4);
            let seed = [&head[..], &script[..steps * 2], &[disturbance, 160]].concat();
            seeds.push([&seed[..], &[7; 20]].concat());
        }
    }
    seeds
}
