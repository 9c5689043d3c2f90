// SPDX-License-Identifier: Apache-2.0

//! The Rust peer of scripts/bench-peers: the published crate `asherah`, in the cases of docs/benchmarks.md.
//!
//!     ael-bench-peer rust|rust-safe [--json|--driven] [--quick] [--case PREFIX]
//!     ael-bench-peer rust|rust-safe --locked KEYS
//!
//! `rust` is the crate with its defaults; `rust-safe` the same with `cache_key_schedules` false. What --json,
//! --driven and --locked print is told in bench/bench.h; this program has no floors.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Result};
use asherah::internal::crypto_key::CryptoKey;
use asherah::DataRowRecord;

type Aead = asherah::aead::AES256GCM;
type Store = asherah::metastore::InMemoryMetastore;
type Kms = asherah::kms::StaticKMS<Aead>;
type Factory = asherah::SessionFactory<Aead, Kms, Store>;
type Session = asherah::Session<Aead, Kms, Store>;

const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 5;
const CYCLE_KEYS: usize = 10_000;
const THREADS_MAX: usize = 16;
/// Records copied at a time, outside the measured time, for decrypts that take theirs by value.
const COPIES: u64 = 64;

/// What a thread measured: from when to when, and how much of that does not count.
struct Span {
    began: Instant,
    ended: Instant,
    left_out: Duration,
}

/// Does so many operations as the thread of that number.
type Work = dyn Fn(usize, u64) -> Result<Span> + Send + Sync;

struct Case {
    name: String,
    threads: usize,
    work: Arc<Work>,
    operations: u64,
    samples: Vec<f64>,
}

/// Measures a loop that counts as a whole.
fn timed(operations: u64, mut operation: impl FnMut() -> Result<()>) -> Result<Span> {
    let began = Instant::now();
    for _ in 0..operations {
        operation()?;
    }
    Ok(Span {
        began,
        ended: Instant::now(),
        left_out: Duration::ZERO,
    })
}

// ---- samples ----

fn run_threads(case: &Case) -> Result<Vec<Span>> {
    let barrier = Arc::new(Barrier::new(case.threads));
    let operations = case.operations;
    let runners: Vec<_> = (0..case.threads)
        .map(|thread| {
            let (work, barrier) = (Arc::clone(&case.work), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                work(thread, operations)
            })
        })
        .collect();
    runners
        .into_iter()
        .map(|runner| runner.join().map_err(|_| anyhow!("a thread panicked"))?)
        .collect()
}

/// Wall time of a sample, less the share of the threads' time that does not count.
fn take_sample(case: &Case) -> Result<Duration> {
    let spans = if case.threads == 1 {
        vec![(case.work)(0, case.operations)?]
    } else {
        run_threads(case)?
    };
    let began = spans.iter().map(|span| span.began).min().expect("a thread");
    let ended = spans.iter().map(|span| span.ended).max().expect("a thread");
    let all: Duration = spans.iter().map(|span| span.ended - span.began).sum();
    let left_out: Duration = spans.iter().map(|span| span.left_out).sum();
    let share = 1.0 - left_out.as_secs_f64() / all.as_secs_f64().max(1e-9);
    Ok((ended - began).mul_f64(share))
}

/// Warms up, and finds how many operations fill a sample.
fn calibrate(case: &mut Case, sample: Duration) -> Result<()> {
    case.operations = 1;
    let mut elapsed = take_sample(case)?;
    while elapsed < sample / 4 {
        case.operations *= 2;
        elapsed = take_sample(case)?;
    }
    let scaled = case.operations as f64 * sample.as_secs_f64() / elapsed.as_secs_f64();
    case.operations = (scaled as u64).max(1);
    Ok(())
}

fn sample_ns(case: &mut Case, sample: Duration) -> Result<f64> {
    if case.operations == 0 {
        calibrate(case, sample)?;
    }
    let elapsed = take_sample(case)?;
    Ok(elapsed.as_secs_f64() * 1e9 / (case.operations * case.threads as u64) as f64)
}

// ---- sessions ----

fn open_factory(cache_schedules: bool) -> Result<Factory> {
    let crypto = Arc::new(Aead::new());
    let kms = Arc::new(Kms::new(
        crypto.clone(),
        b"a master key for benchmarks only".to_vec(),
    )?);
    let policy = asherah::CryptoPolicy {
        cache_key_schedules: cache_schedules,
        ..Default::default()
    };
    let config = asherah::Config::new("service", "product").with_policy(policy);
    Ok(asherah::NewSessionFactory(
        config,
        Arc::new(Store::new()),
        kms,
        crypto,
    ))
}

fn encrypt(session: &Session, payload: &[u8], operations: u64) -> Result<Span> {
    timed(operations, || {
        black_box(session.encrypt(payload)?);
        Ok(())
    })
}

fn encrypt_json(session: &Session, payload: &[u8], operations: u64) -> Result<Span> {
    timed(operations, || {
        black_box(session.encrypt(payload)?.to_json_fast());
        Ok(())
    })
}

/// The call takes its record by value; the copies that this needs here are made outside the time.
fn decrypt(session: &Session, payload: &[u8], operations: u64) -> Result<Span> {
    let record = session.encrypt(payload)?;
    ensure!(
        session.decrypt(record.clone())? == payload,
        "decrypted something else"
    );
    let mut left_out = Duration::ZERO;
    let began = Instant::now();
    let mut left = operations;
    while left > 0 {
        let copying = Instant::now();
        let copies: Vec<DataRowRecord> = (0..left.min(COPIES)).map(|_| record.clone()).collect();
        left_out += copying.elapsed();
        left -= copies.len() as u64;
        for copy in copies {
            black_box(session.decrypt(copy)?);
        }
    }
    Ok(Span {
        began,
        ended: Instant::now(),
        left_out,
    })
}

fn decrypt_json(session: &Session, payload: &[u8], operations: u64) -> Result<Span> {
    let text = session.encrypt(payload)?.to_json_fast();
    timed(operations, || {
        let record: DataRowRecord = serde_json::from_str(&text)?;
        black_box(session.decrypt(record)?);
        Ok(())
    })
}

type SessionWork = fn(&Session, &[u8], u64) -> Result<Span>;

const KINDS: [(&str, SessionWork, &[usize]); 4] = [
    ("encrypt", encrypt, &[64, 1024, 8192, 65536, 1_048_576]),
    ("decrypt", decrypt, &[64, 1024, 65536]),
    ("encrypt_json", encrypt_json, &[64, 1024, 8192]),
    ("decrypt_json", decrypt_json, &[64, 1024, 8192]),
];

fn session_cases(cases: &mut Vec<Case>, cache_schedules: bool) -> Result<()> {
    let factory = open_factory(cache_schedules)?;
    let session = Arc::new(factory.get_session("partition"));
    for (kind, work, sizes) in KINDS {
        for &size in sizes {
            let payload = vec![b'x'; size];
            let session = Arc::clone(&session);
            let work: Arc<Work> =
                Arc::new(move |_, operations| work(&session, &payload, operations));
            let threads: &[usize] = if size <= 1024 { &[1, 2, 16] } else { &[1] };
            add(cases, &format!("session/{kind}/{size}"), threads, work);
        }
    }
    Box::leak(Box::new(factory)); // the sessions' caches live as long as the program
    Ok(())
}

// ---- many partitions ----

/// A factory and its partitions, each of which is used once before anything is measured.
struct Growth {
    factory: Factory,
    names: Vec<String>,
}

const GROWTH_PAYLOAD: [u8; 1024] = [b'x'; 1024];

impl Growth {
    fn open(partitions: usize, cache_schedules: bool) -> Result<Growth> {
        let names = (0..partitions).map(|number| format!("partition-{number:07}"));
        let growth = Growth {
            factory: open_factory(cache_schedules)?,
            names: names.collect(),
        };
        for name in &growth.names {
            growth.encrypt(name)?;
        }
        Ok(growth)
    }

    fn encrypt(&self, name: &str) -> Result<()> {
        let session = self.factory.get_session(name);
        black_box(session.encrypt(&GROWTH_PAYLOAD)?);
        Ok(())
    }
}

/// Marsaglia's xorshift.
fn next_number(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 32
}

fn growth_cases(cases: &mut Vec<Case>, options: &Options) {
    let rows: [(usize, usize); 4] = [(1_000, 1), (10_000, 1), (10_000, 16), (1_000_000, 1)];
    for (partitions, threads) in rows {
        if options.quick && partitions > 10_000 {
            continue;
        }
        let cache_schedules = options.cache_schedules;
        let opened: OnceLock<Growth> = OnceLock::new();
        let work: Arc<Work> = Arc::new(move |thread, operations| {
            let growth = opened.get_or_init(|| {
                Growth::open(partitions, cache_schedules).expect("partitions are made warm")
            });
            let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread as u64 + 1) ^ operations;
            timed(operations, || {
                let number = (next_number(&mut state) * partitions as u64) >> 32;
                growth.encrypt(&growth.names[number as usize])
            })
        });
        add(cases, &format!("growth/{partitions}/{threads}"), &[threads], work);
    }
}

// ---- keys ----

fn make_key(number: u64, cache_schedule: bool) -> Result<CryptoKey> {
    let mut bytes = vec![7_u8; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    CryptoKey::new_with_key_schedule_cache(1, false, bytes, cache_schedule)
}

fn access(key: &CryptoKey) -> Result<()> {
    key.with_key_func(|bytes| {
        black_box(bytes);
    })
}

/// One key: always in the slab that the crate keeps readable.
fn hot(cases: &mut Vec<Case>, cache_schedule: bool) -> Result<()> {
    let key = make_key(0, cache_schedule)?;
    let work: Arc<Work> = Arc::new(move |_, operations| timed(operations, || access(&key)));
    add(cases, "secret/leased/hot", &[1, 2], work);
    Ok(())
}

fn seal(cases: &mut Vec<Case>, cache_schedule: bool) {
    let work: Arc<Work> = Arc::new(move |thread, operations| {
        timed(operations, || {
            black_box(make_key(thread as u64, cache_schedule)?);
            Ok(())
        })
    });
    add(cases, "key/seal", &[1, 2], work);
}

fn cycle(cases: &mut Vec<Case>, cache_schedule: bool) -> Result<()> {
    let keys = (0..CYCLE_KEYS as u64)
        .map(|number| make_key(number, cache_schedule))
        .collect::<Result<Vec<_>>>()?;
    let work: Arc<Work> = Arc::new(move |thread, operations| {
        let mut next = thread * CYCLE_KEYS / THREADS_MAX;
        timed(operations, || {
            access(&keys[next])?;
            next = if next + 1 < CYCLE_KEYS { next + 1 } else { 0 };
            Ok(())
        })
    });
    add(cases, "key/cycle", &[1, 2], work);
    Ok(())
}

// ---- the program ----

fn add(cases: &mut Vec<Case>, name: &str, threads: &[usize], work: Arc<Work>) {
    for &threads in threads {
        cases.push(Case {
            name: name.to_string(),
            threads,
            work: Arc::clone(&work),
            operations: 0,
            samples: Vec::new(),
        });
    }
}

fn all_cases(options: &Options) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    hot(&mut cases, options.cache_schedules)?;
    seal(&mut cases, options.cache_schedules);
    cycle(&mut cases, options.cache_schedules)?;
    session_cases(&mut cases, options.cache_schedules)?;
    growth_cases(&mut cases, options);
    cases.retain(|case| case.name.starts_with(&options.prefix));
    ensure!(
        options.driven || !cases.is_empty(),
        "no case starts with \"{}\"",
        options.prefix
    );
    Ok(cases)
}

fn print_result(case: &mut Case, options: &Options) {
    case.samples.sort_by(f64::total_cmp);
    let samples = &case.samples;
    println!(
        "{{\"case\": \"{}\", \"impl\": \"{}\", \"level\": \"own\", \"engine\": \"ring\", \"threads\": {}, \
         \"ns_per_op\": {:.2}, \"min\": {:.2}, \"max\": {:.2}, \"floor_ns\": null, \"ratio_floor\": null}}",
        case.name,
        options.name,
        case.threads,
        samples[samples.len() / 2],
        samples[0],
        samples[samples.len() - 1]
    );
}

fn run_rounds(cases: &mut [Case], options: &Options) -> Result<()> {
    for _ in 0..if options.quick { QUICK_ROUNDS } else { ROUNDS } {
        for case in cases.iter_mut() {
            let ns = sample_ns(case, options.sample)?;
            case.samples.push(ns);
        }
    }
    for case in cases.iter_mut() {
        print_result(case, options);
    }
    Ok(())
}

/// Tells what cases there are, then takes a sample of each that is asked for by number.
fn run_driven(cases: &mut [Case], options: &Options) -> Result<()> {
    for case in cases.iter() {
        println!(
            "{{\"case\": \"{}\", \"impl\": \"{}\", \"level\": \"own\", \"engine\": \"ring\", \"threads\": {}, \
             \"floors\": []}}",
            case.name, options.name, case.threads
        );
    }
    println!();
    for line in std::io::stdin().lock().lines() {
        let number: usize = line?.trim().parse()?;
        let case = cases
            .get_mut(number)
            .ok_or_else(|| anyhow!("there is no case {number}"))?;
        println!("{:.3}", sample_ns(case, options.sample)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Encrypts for so many partitions, so that as many keys are warm, and tells what is locked then.
fn run_locked(keys: usize, options: &Options) -> Result<()> {
    let factory = open_factory(options.cache_schedules)?;
    for number in 0..keys {
        let session = factory.get_session(&format!("partition-{number}"));
        black_box(session.encrypt(b"x")?);
    }
    let warm = factory.ik_cache_entry_count();
    ensure!(warm >= keys, "{warm} keys are warm of {keys}");
    let status = std::fs::read_to_string("/proc/self/status")?;
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .ok_or_else(|| anyhow!("no VmLck in /proc/self/status"))?;
    println!(
        "{{\"case\": \"memory/locked\", \"impl\": \"{}\", \"level\": \"own\", \"keys\": {keys}, \"locked_kib\": {}}}",
        options.name,
        locked.trim()
    );
    Ok(())
}

struct Options {
    name: String,
    cache_schedules: bool,
    driven: bool,
    quick: bool,
    sample: Duration,
    prefix: String,
    locked: Option<usize>,
}

fn read_options() -> Result<Options> {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    ensure!(
        name == "rust" || name == "rust-safe",
        "usage: ael-bench-peer rust|rust-safe [options]"
    );
    let mut options = Options {
        cache_schedules: name == "rust",
        name,
        driven: false,
        quick: false,
        sample: Duration::from_millis(50),
        prefix: String::new(),
        locked: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => {}
            "--driven" => options.driven = true,
            "--quick" => {
                options.quick = true;
                options.sample = Duration::from_millis(5);
            }
            "--case" => {
                options.prefix = words
                    .next()
                    .ok_or_else(|| anyhow!("--case takes a prefix"))?
            }
            "--locked" => {
                options.locked = Some(
                    words
                        .next()
                        .ok_or_else(|| anyhow!("--locked takes a number"))?
                        .parse()?,
                )
            }
            other => return Err(anyhow!("unknown option {other}")),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = read_options()?;
    if let Some(keys) = options.locked {
        return run_locked(keys, &options);
    }
    let mut cases = all_cases(&options)?;
    if options.driven {
        run_driven(&mut cases, &options)
    } else {
        run_rounds(&mut cases, &options)
    }
}
