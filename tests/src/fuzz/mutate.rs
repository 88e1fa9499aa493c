//! Mutations of seeds, without a fuzzer: what a test does in any build, the same in every run.

use std::cell::RefCell;
use std::sync::Once;

use super::{Target, seeds};

/// Inputs grow no further.
const INPUT_BYTES_MAX: usize = 4096;

/// Octets that decoders treat in ways of their own.
const STRIKING: [u8; 24] = [
    0, 1, 0x7F, 0x80, 0xFF, 0xC2, 0xED, b'"', b'\\', b'[', b']', b'{', b'}', b',', b'0', b'e', b'-', 0x1F,
    0x5F, 0x9F, 0xBF, 0xC1, 0xDF, 0xF9,
];

/// Runs a target over its seeds as they are and then [`Target::runs`] times over mutations of them. `seed` decides which.
///
/// # Panics
/// If the target does; the input is then written to standard error as hexadecimal digits.
pub fn drive(target: Target, seed: u64) {
    show_input_of_panics();
    let seeds = seeds(target.name);
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let mut random = fastrand::Rng::with_seed(seed);
    // Miri is a thousand times slower.
    let (step, runs) = if cfg!(miri) { (seeds.len(), 1) } else { (1, target.runs) };
    seeds.iter().step_by(step).for_each(|octets| run(target, octets));
    for _ in 0..runs {
        run(target, &mutated(&seeds, &mut random));
    }
}

fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut octets = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..1 + random.usize(..5) {
        mutate(&mut octets, seeds, random);
    }
    octets.truncate(INPUT_BYTES_MAX);
    octets
}

fn mutate(octets: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=octets.len());
    let end = octets.len().min(at + 1 + random.usize(..16));
    match random.u8(..9) {
        0 if at < octets.len() => octets[at] ^= 1 << random.u8(..8),
        1 if at < octets.len() => octets[at] = random.u8(..),
        2 if at < octets.len() => octets[at] = STRIKING[random.usize(..STRIKING.len())],
        3 => octets.insert(at, STRIKING[random.usize(..STRIKING.len())]),
        4 => drop(octets.drain(at..end)),
        5 => {
            let piece = octets[at..end].to_vec();
            let to = random.usize(..=octets.len());
            octets.splice(to..to, piece);
        }
        6 => {
            let other = &seeds[random.usize(..seeds.len())];
            let from = random.usize(..=other.len());
            octets.truncate(at);
            octets.extend_from_slice(&other[from..]);
        }
        7 if random.u8(..8) == 0 => octets.truncate(at),
        _ => {
            let noise: Vec<u8> = (at..end).map(|_| random.u8(..)).collect();
            octets.splice(at..end, noise);
        }
    }
}

thread_local! {
    static RUNNING: RefCell<Option<(&'static str, Vec<u8>)>> = const { RefCell::new(None) };
}

fn run(target: Target, octets: &[u8]) {
    RUNNING.set(Some((target.name, octets.to_vec())));
    (target.run)(octets);
    RUNNING.set(None);
}

fn show_input_of_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            RUNNING.with_borrow(|running| {
                if let Some((name, octets)) = running {
                    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                    eprintln!("panic in target {name} with the input {hex}");
                }
            });
            usual(info);
        }));
    });
}
