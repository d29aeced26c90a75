//! What the store costs on this machine: append, apply, snapshot and install, on both engines.
//!
//! ```text
//! cargo bench -p axp-raft-store                 all of it
//! cargo bench -p axp-raft-store -- append       append, apply or snapshot
//! cargo bench -p axp-raft-store -- memory       resident memory; in a process of its own
//! ```
//!
//! Plain timings as a table; CPU is that of the whole process, so that an engine's threads count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axp_proto::{ids::GroupId, raft};
use axp_raft_store::{
    Applied, Applier, EngineKind, Entry, Error, GroupStore, Payload, Store, StoreConfig,
    Transaction, TypeConfig, wire,
};
use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage as _, RaftStateMachine as _};
use openraft::type_config::TypeConfigExt as _;

const ENTRY_BYTES: usize = 300;
const DURATION: Duration = Duration::from_secs(2);

/// Two changes per entry, as an intent's event and its state.
#[derive(Debug)]
struct Two;

impl Applier for Two {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        let key = (index % 10_000).to_be_bytes();
        let _previous = state.get(&key)?;
        state.put(key, entry.clone());
        state.put(format!("event-{index:012}"), entry.clone());
        Ok(Applied::default())
    }

    fn committed(&self, _index: u64) {}

    fn restored(&self, _index: u64) {}
}

fn main() -> anyhow::Result<()> {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    println!(
        "{:<8} {:<34} {:>12} {:>10} {:>10} {:>12}",
        "engine", "what", "per s", "p50", "p99", "CPU/entry"
    );
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        for (groups, each) in [(1, 1), (1, 64), (8, 1), (8, 8)] {
            if "append".contains(&filter) {
                runtime.block_on(append(engine, groups, each))?;
            }
        }
        for each in [1, 64] {
            if "apply".contains(&filter) {
                runtime.block_on(apply(engine, each))?;
            }
        }
        if "snapshot".contains(&filter) {
            runtime.block_on(snapshot(engine))?;
        }
        if filter == "memory" {
            runtime.block_on(memory(engine))?;
        }
    }
    Ok(())
}

fn open(engine: EngineKind, dir: &std::path::Path) -> anyhow::Result<Arc<Store>> {
    Ok(Store::open(&StoreConfig { engine, ..StoreConfig::new(dir) })?)
}

fn group(store: &Store, number: u16) -> anyhow::Result<GroupStore> {
    Ok(store.open_group(GroupId(number), Arc::new(Two))?)
}

fn entries(from: u64, count: u64) -> anyhow::Result<Vec<Entry>> {
    let payload = Payload(Bytes::from(vec![7; ENTRY_BYTES]));
    let entry = |index| {
        let log_id = wire::log_id_from_proto(&raft::LogId { term: 1, node_id: 1, index })?;
        Ok(Entry { log_id, payload: EntryPayload::Normal(payload.clone()) })
    };
    (from..from + count).map(entry).collect()
}

/// `groups` tasks; each appends `each` entries and waits until they are durable.
async fn append(engine: EngineKind, groups: u16, each: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(engine, dir.path())?;
    let mut tasks = tokio::task::JoinSet::new();
    let (start, cpu) = (Instant::now(), cpu_time()?);
    for number in 0..groups {
        let mut group = group(&store, number)?;
        tasks.spawn(async move {
            let mut times = Vec::new();
            let mut next = 0;
            while start.elapsed() < DURATION {
                let entries = entries(next, each)?;
                let begun = Instant::now();
                let (sender, receiver) = TypeConfig::oneshot();
                group.log.append(entries, IOFlushed::signal(sender)).await?;
                receiver.await??;
                times.push(begun.elapsed());
                next += each;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    let count = times.len() as u64 * each;
    let what = format!("append, {groups} groups x {each} per sync");
    report(engine, &what, count, start.elapsed(), times, cpu_time()? - cpu);
    Ok(())
}

async fn apply(engine: EngineKind, each: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(engine, dir.path())?;
    let mut group = group(&store, 1)?;
    let (start, cpu) = (Instant::now(), cpu_time()?);
    let (mut times, mut next) = (Vec::new(), 0);
    while start.elapsed() < DURATION {
        let items = entries(next, each)?.into_iter().map(|entry| Ok((entry, None)));
        let begun = Instant::now();
        group.machine.apply(futures_util::stream::iter(items)).await?;
        times.push(begun.elapsed());
        next += each;
    }
    let what = format!("apply, {each} per batch, 2 changes each");
    report(engine, &what, next, start.elapsed(), times, cpu_time()? - cpu);
    Ok(())
}

/// 100,000 keys: streamed into a file as a follower receives them, and installed.
async fn snapshot(engine: EngineKind) -> anyhow::Result<()> {
    let (a, b) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (from_store, to_store) = (open(engine, a.path())?, open(engine, b.path())?);
    let (mut from, mut to) = (group(&from_store, 1)?, group(&to_store, 1)?);
    let count = 90_000;
    for next in (0..count).step_by(1000) {
        let items = entries(next, 1000)?.into_iter().map(|entry| Ok((entry, None)));
        from.machine.apply(futures_util::stream::iter(items)).await?;
    }
    let (start, cpu) = (Instant::now(), cpu_time()?);
    let snapshot = from.machine.get_current_snapshot().await?.expect("entries were applied");
    report(engine, "snapshot, view of 100,000 keys", 1, start.elapsed(), vec![], cpu_time()? - cpu);

    let (start, cpu) = (Instant::now(), cpu_time()?);
    let mut sink = to_store.receive_snapshot(GroupId(1))?;
    let mut chunks = snapshot.snapshot.into_chunks();
    for chunk in &mut chunks {
        sink.write(chunk?)?;
    }
    let (bytes, crc32c) = chunks.end();
    let data = sink.finish(bytes, crc32c)?;
    let keys = count + 10_000;
    report(
        engine,
        "snapshot, stream, sync, verify",
        keys,
        start.elapsed(),
        vec![],
        cpu_time()? - cpu,
    );

    let (start, cpu) = (Instant::now(), cpu_time()?);
    to.machine.install_snapshot(&snapshot.meta, data).await?;
    report(engine, "snapshot, install", keys, start.elapsed(), vec![], cpu_time()? - cpu);
    Ok(())
}

/// Nine groups: idle after a first start, and under 5,000 entries/s for ten seconds with purges.
async fn memory(engine: EngineKind) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(engine, dir.path())?;
    let groups = (0..9).map(|number| group(&store, number)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("{engine:<8} idle, nine groups: {}", resident()?);
    let mut tasks = tokio::task::JoinSet::new();
    for mut group in groups {
        tasks.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            for round in 0..1000_u64 {
                tick.tick().await;
                let entries = entries(round * 6, 6)?;
                let last = entries.last().map(|entry| entry.log_id);
                let (sender, receiver) = TypeConfig::oneshot();
                group.log.append(entries.clone(), IOFlushed::signal(sender)).await?;
                receiver.await??;
                let items = entries.into_iter().map(|entry| Ok((entry, None)));
                group.machine.apply(futures_util::stream::iter(items)).await?;
                group.log.save_committed(last).await?;
                if let (0, Some(last)) = (round % 200, last) {
                    group.log.purge(last).await?;
                }
            }
            anyhow::Ok(group)
        });
    }
    let cpu = cpu_time()?;
    let mut groups = Vec::new();
    while let Some(done) = tasks.join_next().await {
        groups.push(done??);
    }
    let cpu = (cpu_time()? - cpu).as_secs_f64() * 10.0;
    println!("{engine:<8} after 54,000 entries in 10 s: {}, {cpu:.0} % of a core", resident()?);
    Ok(())
}

fn resident() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS unknown");
    Ok(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}

fn report(
    engine: EngineKind,
    what: &str,
    count: u64,
    took: Duration,
    mut times: Vec<Duration>,
    cpu: Duration,
) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(took);
    let per_second = count as f64 / took.as_secs_f64();
    let cpu = cpu / u32::try_from(count).unwrap_or(u32::MAX);
    println!(
        "{:<8} {what:<34} {per_second:>12.0} {:>10.1?} {:>10.1?} {cpu:>12.1?}",
        engine.to_string(),
        at(50),
        at(99),
    );
}

/// User and system time of this process; Linux counts in hundredths of a second.
fn cpu_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
