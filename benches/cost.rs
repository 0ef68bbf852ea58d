//! What a call of Pumice costs beside the call of the raw `rocksdb` crate that it makes: same data, same options, same
//! size of cache, warm, in turns within one process. CPU time of the calling thread for one operation.

mod common;

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::elsewhere::{self, metadata, stored_key};
use common::report::{Figures, keep, table};
use common::{Failure, Random, fill, key, thread_cpu, value};
use pumice::{Engine, Namespace, Options, WriteOptions};
use rocksdb::DB;
use serde_json::json;

const KEYS: u32 = 200_000;
const MANY: usize = 100;
const NAMESPACE: &str = "users";

fn main() -> Result<(), Failure> {
    // The number of rounds, and the one part to run.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [command, home, namespace, budget] = args.as_slice()
        && command == "gets"
    {
        return gets_for_python(Path::new(home), namespace, budget.parse()?);
    }
    let rounds: u32 = args.first().map_or(Ok(11), |rounds| rounds.parse())?;
    let wanted = |part: &str| args.get(1).is_none_or(|only| only == part);
    let dir = tempfile::tempdir()?;
    let bench = Bench::new(dir.path(), rounds)?;
    let mut report = Report::default();
    let parts: [(&str, Part); 5] = [
        ("get", Bench::point_reads),
        ("c", Bench::reads_in_c),
        ("get_many", Bench::batched_reads),
        ("iteration", Bench::iteration),
        ("put", Bench::writes),
    ];
    for (part, run) in parts {
        if wanted(part) {
            run(&bench, &mut report)?;
        }
    }
    println!(
        "\nCPU time of one operation, ns: {KEYS} keys of 100 bytes, warm, {rounds} rounds in turns, median (min to max)\n"
    );
    table(&report.rows);

    if args.len() > 1 {
        return Ok(());
    }
    let mut synced = Report::default();
    bench.synced_writes(&mut synced)?;
    println!("\nPuts that survive a power cut, thousands a second\n");
    table(&synced.rows);
    println!("\nTime of Engine::open, ms\n");
    let opens = bench.opens(dir.path())?;
    keep("cost", &json!({ "rounds": rounds, "calls": report.raw, "synced_puts": synced.raw, "open_ms": opens }));
    Ok(())
}

/// The Rust side of benches/python.py: gets keys of 16 bytes that come on standard input, 20,000 at a time, and answers with
/// the nanoseconds of CPU that one of them took.
fn gets_for_python(home: &Path, namespace: &str, memory_budget: usize) -> Result<(), Failure> {
    let engine = Engine::open(home, &Options { memory_budget, ..Options::default() })?;
    let namespace = engine.namespace(namespace)?;
    let (mut input, mut keys) = (std::io::stdin().lock(), [[0; 16]; 20_000]);
    while !input.fill_buf()?.is_empty() {
        input.read_exact(keys.as_flattened_mut())?;
        let start = thread_cpu();
        for key in &keys {
            std::hint::black_box(namespace.get(key)?.ok_or("missing")?[0]);
        }
        println!("{}", (thread_cpu() - start).as_nanos() as f64 / keys.len() as f64);
    }
    Ok(())
}

/// Rows of a table, and the same for the file.
#[derive(Default)]
struct Report {
    rows: Vec<Vec<String>>,
    raw: Vec<serde_json::Value>,
}

impl Report {
    /// Two rows of figures taken in turns, and their ratio round by round. `most` is the target.
    fn compare(&mut self, what: &str, ours: &Figures, other: &str, theirs: &Figures, most: Option<f64>) {
        if self.rows.is_empty() {
            self.rows.push(["", "Pumice", "beside it", "", "ratio", "target", ""].map(str::to_owned).to_vec());
        }
        let ratio = ours.over(theirs);
        self.rows.push(vec![
            what.to_owned(),
            ours.spread(0),
            theirs.spread(0),
            other.to_owned(),
            ratio.spread(2),
            most.map_or(String::new(), |most| format!("<= {most:.2}")),
            most.map_or("", |most| if ratio.median() <= most { "met" } else { "missed" }).to_owned(),
        ]);
        self.raw.push(json!({
            "what": what, "pumice_ns": ours.json(), "beside": other, "beside_ns": theirs.json(), "ratio": ratio.json(),
            "target": most,
        }));
    }
}

type Part = fn(&Bench, &mut Report) -> Result<(), Failure>;

struct Bench {
    rounds: u32,
    dir: PathBuf,
    engine: Engine,
    namespace: Namespace,
    raw: DB,
    /// Keys in random order, as users name them and as they are stored.
    keys: Vec<[u8; 12]>,
    stored: Vec<Vec<u8>>,
}

impl Bench {
    fn new(dir: &Path, rounds: u32) -> Result<Bench, Failure> {
        let options = Options::default();
        let engine = Engine::open(dir.join("pumice"), &options)?;
        let namespace = engine.create_namespace(NAMESPACE, None)?;
        fill(&engine, b'c', std::slice::from_ref(&namespace), KEYS, &mut |_| {})?;
        // Both read the very same files.
        let checkpoint = engine.create_checkpoint(dir.join("checkpoint"))?;
        elsewhere::bring(&checkpoint.path, &dir.join("raw"))?;
        // And both have opened them, rather than written them.
        engine.close()?;
        drop((engine, namespace));
        let engine = Engine::open(dir.join("pumice"), &options)?;
        let namespace = engine.namespace(NAMESPACE)?;
        let raw = elsewhere::open(&dir.join("raw"), &elsewhere::cache(options.memory_budget))?;

        let mut random = Random::new(1);
        let mut keys: Vec<_> = (0..KEYS).map(key).collect();
        for place in (1..keys.len()).rev() {
            keys.swap(place, random.below(place as u32 + 1) as usize);
        }
        let stored = keys
            .iter()
            .map(|key| {
                let mut stored = Vec::new();
                stored_key(&mut stored, NAMESPACE.as_bytes(), key);
                stored
            })
            .collect();
        Ok(Bench { rounds, dir: dir.to_owned(), engine, namespace, raw, keys, stored })
    }

    /// Runs all of them in turns, once more to warm up. Each gives how many operations it did.
    fn turns<const N: usize>(
        &self,
        runs: [&mut dyn FnMut() -> Result<usize, Failure>; N],
    ) -> Result<[Figures; N], Failure> {
        let mut figures: [Figures; N] = std::array::from_fn(|_| Figures::default());
        for round in 0..=self.rounds {
            // Every other round backwards, so that none is always the first.
            for turn in 0..N {
                let which = if round % 2 == 0 { turn } else { N - 1 - turn };
                let start = thread_cpu();
                let operations = runs[which]()?;
                let spent = thread_cpu() - start;
                if round > 0 {
                    figures[which].add(spent.as_nanos() as f64 / operations as f64);
                }
            }
        }
        Ok(figures)
    }

    fn point_reads(&self, report: &mut Report) -> Result<(), Failure> {
        let family = metadata(&self.raw);
        let reads = rocksdb::ReadOptions::default();
        let [ours, raw, reused] = self.turns([
            &mut || {
                for key in &self.keys {
                    let value = self.namespace.get(key)?.ok_or("missing")?;
                    std::hint::black_box(value[0]);
                }
                Ok(self.keys.len())
            },
            &mut || {
                for key in &self.stored {
                    let value = self.raw.get_pinned_cf(family, key)?.ok_or("missing")?;
                    std::hint::black_box(value[0]);
                }
                Ok(self.stored.len())
            },
            &mut || {
                for key in &self.stored {
                    let value = self.raw.get_pinned_cf_opt(family, key, &reads)?.ok_or("missing")?;
                    std::hint::black_box(value[0]);
                }
                Ok(self.stored.len())
            },
        ])?;
        report.compare("get", &ours, "get_pinned_cf", &raw, Some(1.10));
        report.compare("get", &ours, "get_pinned_cf_opt, options kept", &reused, None);
        Ok(())
    }

    /// The same reads by a C program, on a copy of the same files.
    fn reads_in_c(&self, report: &mut Report) -> Result<(), Failure> {
        let Some(program) = CProgram::load(&self.dir)? else { return Ok(()) };
        let (c, rust) = (self.dir.join("c"), self.dir.join("rust"));
        for home in [&c, &rust] {
            elsewhere::bring(&self.dir.join("checkpoint"), &home.join("db"))?;
        }
        program.open(&c)?;
        let engine = Engine::open(&rust, &Options::default())?;
        let namespace = engine.namespace(NAMESPACE)?;
        let keys = self.keys.concat();
        let [c, rust] = self.turns([
            &mut || {
                program.get(&keys, self.keys.len())?;
                Ok(self.keys.len())
            },
            &mut || {
                for key in &self.keys {
                    let value = namespace.get(key)?.ok_or("missing")?;
                    std::hint::black_box(value[0]);
                }
                Ok(self.keys.len())
            },
        ])?;
        program.close();
        report.compare("get in C", &c, "get in Rust", &rust, Some(1.05));
        Ok(())
    }

    fn batched_reads(&self, report: &mut Report) -> Result<(), Failure> {
        let family = metadata(&self.raw);
        let [ours, raw] = self.turns([
            &mut || {
                for keys in self.keys.chunks(MANY) {
                    for value in self.namespace.get_many(keys)? {
                        std::hint::black_box(value.ok_or("missing")?[0]);
                    }
                }
                Ok(self.keys.len())
            },
            &mut || {
                for keys in self.stored.chunks(MANY) {
                    for value in self.raw.batched_multi_get_cf(family, keys, false) {
                        std::hint::black_box(value?.ok_or("missing")?[0]);
                    }
                }
                Ok(self.stored.len())
            },
        ])?;
        report.compare("get_many of 100, each key", &ours, "batched_multi_get_cf", &raw, None);
        Ok(())
    }

    fn iteration(&self, report: &mut Report) -> Result<(), Failure> {
        let family = metadata(&self.raw);
        let (mut from, mut to) = (Vec::new(), Vec::new());
        stored_key(&mut from, NAMESPACE.as_bytes(), b"");
        stored_key(&mut to, NAMESPACE.as_bytes(), &[0xFF; 16]);
        let [ours, raw] = self.turns([
            &mut || {
                let mut items = self.namespace.items(&pumice::Range::default())?;
                let mut rows = 0;
                while let Some(item) = items.next_item()? {
                    std::hint::black_box((item.key[0], item.value.ok_or("no string")?[0]));
                    rows += 1;
                }
                Ok(rows)
            },
            &mut || {
                let mut reads = rocksdb::ReadOptions::default();
                reads.set_iterate_range(from.clone()..to.clone());
                let mut iterator = self.raw.raw_iterator_cf_opt(family, reads);
                iterator.seek_to_first();
                let mut rows = 0;
                while let Some((key, value)) = iterator.item() {
                    std::hint::black_box((key[0], value[0]));
                    rows += 1;
                    iterator.next();
                }
                iterator.status()?;
                Ok(rows)
            },
        ])?;
        report.compare("iteration, each row", &ours, "raw_iterator_cf_opt", &raw, None);
        Ok(())
    }

    fn writes(&self, report: &mut Report) -> Result<(), Failure> {
        let family = metadata(&self.raw);
        // As many bytes on both sides: the record that Pumice makes has its head of 9.
        let value = value(b'p', b"put", 0);
        let record = [&[0x81, 0, 0, 0, 0, 0, 0, 0, 0][..], &value].concat();
        const SOME: usize = 50_000;
        let [ours, raw] = self.turns([
            &mut || {
                for key in &self.keys[..SOME] {
                    self.namespace.put(key, &value)?;
                }
                Ok(SOME)
            },
            &mut || {
                for key in &self.stored[..SOME] {
                    self.raw.put_cf(family, key, &record)?;
                }
                Ok(SOME)
            },
        ])?;
        report.compare("put, no sync", &ours, "put_cf", &raw, Some(1.15));
        Ok(())
    }

    fn synced_writes(&self, report: &mut Report) -> Result<(), Failure> {
        const LONG: Duration = Duration::from_millis(500);
        let family = metadata(&self.raw);
        let record = value(b's', b"sync", 0);
        let ours = WriteOptions { sync: Some(true), ..WriteOptions::default() };
        let mut theirs = rocksdb::WriteOptions::default();
        theirs.set_sync(true);
        report.rows.push(["threads", "Pumice", "raw put_cf, sync", "ratio"].map(str::to_owned).to_vec());
        for threads in [1, 4, 16] {
            let (mut here, mut there) = (Figures::default(), Figures::default());
            for round in 0..self.rounds.min(5) {
                let mut run = |which: bool| {
                    let rate = rate(threads, LONG, |thread, number| {
                        let place = (thread * 10_000 + number) % self.keys.len();
                        if which {
                            Ok(self.namespace.put_with(&self.keys[place], &record, &ours)?)
                        } else {
                            Ok(self.raw.put_cf_opt(family, &self.stored[place], record, &theirs)?)
                        }
                    });
                    if which { here.add(rate) } else { there.add(rate) }
                };
                run(round % 2 == 0);
                run(round % 2 == 1);
            }
            let ratio = here.over(&there);
            report.rows.push(vec![threads.to_string(), here.spread(2), there.spread(2), ratio.spread(2)]);
            report.raw.push(json!({
                "threads": threads, "pumice_kilo_per_s": here.json(), "raw_kilo_per_s": there.json(),
                "ratio": ratio.json(),
            }));
        }
        Ok(())
    }

    /// Opens the engine anew, which replays its log and draws a replication id.
    fn opens(self, dir: &Path) -> Result<serde_json::Value, Failure> {
        let Bench { engine, namespace, raw, rounds, .. } = self;
        engine.close()?;
        drop((engine, namespace, raw));
        let mut times = [Figures::default(), Figures::default()];
        for _ in 0..rounds.min(5) {
            // With what was written since the last flush still in the log, and then without.
            let start = Instant::now();
            let engine = Engine::open(dir.join("pumice"), &Options::default())?;
            times[0].add(start.elapsed().as_secs_f64() * 1e3);
            let namespace = engine.namespace(NAMESPACE)?;
            for number in 0..50_000 {
                namespace.put(&key(number), &[b'o'; 100])?;
            }
            engine.close()?;
            drop((engine, namespace));
            let start = Instant::now();
            elsewhere::open(
                &std::fs::canonicalize(dir.join("pumice/db"))?,
                &elsewhere::cache(Options::default().memory_budget),
            )?;
            times[1].add(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("  Pumice {}, raw crate with as much log to replay {}", times[0].spread(1), times[1].spread(1));
        Ok(json!({ "pumice": times[0].json(), "raw_with_log": times[1].json() }))
    }
}

/// benches/cost.c, compiled against the header and the shared library of this build.
struct CProgram {
    library: *mut c_void,
}

impl CProgram {
    /// `None`, said aloud, where there is no C compiler or no library.
    fn load(dir: &Path) -> Result<Option<CProgram>, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let deps = std::env::current_exe()?;
        let built = deps.ancestors().nth(2).ok_or("no target directory")?.to_owned();
        if !built.join("libpumice.so").exists() {
            println!("  get in C: skipped, there is no {}", built.join("libpumice.so").display());
            return Ok(None);
        }
        let target = dir.join("cost_c.so");
        let compiled = Command::new("cc")
            .args(["-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"])
            .arg("-I")
            .arg(root.join("include"))
            .arg(root.join("benches/cost.c"))
            .arg("-L")
            .arg(&built)
            .args(["-lpumice", "-o"])
            .arg(&target)
            .status();
        match compiled {
            Ok(status) if status.success() => {}
            other => {
                println!("  get in C: skipped, cc says {other:?}");
                return Ok(None);
            }
        }
        // The library first: what is loaded already need not be found under the name that it is installed by.
        dlopen(&built.join("libpumice.so"))?;
        let library = dlopen(&target)?;
        Ok(Some(CProgram { library }))
    }

    /// # Safety
    /// `F` must be the type that the function has in benches/cost.c.
    unsafe fn function<F: Copy>(&self, name: &std::ffi::CStr) -> F {
        // SAFETY: a pointer to a function is as long as any other; the type is the caller's promise.
        unsafe {
            let found = libc::dlsym(self.library, name.as_ptr());
            assert!(!found.is_null(), "{name:?} is in benches/cost.c");
            std::mem::transmute_copy(&found)
        }
    }

    fn open(&self, home: &Path) -> Result<(), Failure> {
        let path = CString::new(home.to_str().ok_or("a path that is not UTF-8")?)?;
        // SAFETY: as declared in benches/cost.c.
        let status = unsafe {
            let open: extern "C" fn(*const c_char, *const c_char, usize) -> c_int = self.function(c"cost_open");
            open(path.as_ptr(), NAMESPACE.as_ptr().cast(), NAMESPACE.len())
        };
        if status == 0 { Ok(()) } else { Err("benches/cost.c could not open its engine".into()) }
    }

    fn get(&self, keys: &[u8], count: usize) -> Result<(), Failure> {
        let mut sum: c_ulong = 0;
        // SAFETY: as declared in benches/cost.c.
        let status = unsafe {
            let get: extern "C" fn(*const c_char, usize, usize, *mut c_ulong) -> c_int = self.function(c"cost_get");
            get(keys.as_ptr().cast(), keys.len() / count, count, &raw mut sum)
        };
        std::hint::black_box(sum);
        if status == 0 { Ok(()) } else { Err("benches/cost.c did not find a key".into()) }
    }

    fn close(&self) {
        // SAFETY: as declared in benches/cost.c.
        unsafe { self.function::<extern "C" fn()>(c"cost_close")() }
    }
}

fn dlopen(path: &Path) -> Result<*mut c_void, Failure> {
    let path = CString::new(path.to_str().ok_or("a path that is not UTF-8")?)?;
    // SAFETY: libraries of ours, which may be loaded at any time.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if library.is_null() {
            return Err(std::ffi::CStr::from_ptr(libc::dlerror()).to_string_lossy().into_owned().into());
        }
        Ok(library)
    }
}

/// Thousands of operations a second by some threads. One that fails ends the run.
fn rate(threads: usize, long: Duration, run: impl Fn(usize, usize) -> Result<(), Failure> + Sync) -> f64 {
    let start = Barrier::new(threads);
    let (mut operations, mut longest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (run, start) = (&run, &start);
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    let mut done = 0;
                    while began.elapsed() < long {
                        run(thread, done).expect("a put");
                        done += 1;
                    }
                    (done, began.elapsed())
                })
            })
            .collect();
        for worker in workers {
            let (done, took) = worker.join().expect("a worker");
            operations += done;
            longest = longest.max(took);
        }
    });
    operations as f64 / longest.as_secs_f64() / 1e3
}
