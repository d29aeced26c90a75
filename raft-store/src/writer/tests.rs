//! What the writer says and does not say when a disk fails; and that it shares syncs.

use std::sync::Mutex;

use super::*;
use crate::engine::sim::Sim;

fn start(engine: &Arc<Sim>) -> (Writer, Arc<Failure>) {
    let failure = Arc::new(Failure::new());
    let (linger, bytes_max) = (Duration::ZERO, 1024 * 1024);
    let threads = &Workers::Threads;
    let writer = Writer::start(engine.clone(), failure.clone(), linger, bytes_max, threads);
    (writer.unwrap(), failure)
}

fn batch(key: &str, bytes: usize) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.to_owned(), vec![1; bytes]);
    batch
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_power_loss() {
    let engine = Sim::new();
    let (writer, _failure) = start(&engine);
    writer.write(batch("a", 10)).await.unwrap();
    assert!(engine.after_power_loss().get(b"a").unwrap().is_some());
}

#[tokio::test]
async fn what_a_crash_left_is_durable_before_anybody_relies_on_it() {
    let engine = Sim::new();
    engine.write(batch("a", 10)).unwrap();
    let engine = engine.after_crash();
    assert!(engine.get(b"a").unwrap().is_some(), "the kernel has it");
    assert!(engine.after_power_loss().get(b"a").unwrap().is_none(), "the disk does not");
    let _started = start(&engine);
    assert!(engine.after_power_loss().get(b"a").unwrap().is_some());
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_and_no_sync_repeated() {
    let engine = Sim::new();
    let (writer, failure) = start(&engine);
    writer.write(batch("a", 10)).await.unwrap();
    let before = engine.syncs();
    engine.fail_sync(true);
    let failed = failure.subscribe();
    assert!(matches!(writer.write(batch("b", 10)).await, Err(Error::Failed(_))));
    assert!(failed.borrow().as_deref().unwrap().contains("log write"));
    // The disk is fine again, so it says. It has forgotten the pages.
    engine.fail_sync(false);
    for _ in 0..10 {
        assert!(matches!(writer.write(batch("c", 10)).await, Err(Error::Failed(_))));
    }
    assert_eq!(engine.syncs(), before + 1);
    assert!(engine.get(b"c").unwrap().is_none());
}

#[tokio::test]
async fn a_failed_write_is_final_too() {
    let engine = Sim::new();
    let (writer, failure) = start(&engine);
    engine.fail_write(true);
    assert!(writer.write(batch("a", 10)).await.is_err());
    engine.fail_write(false);
    assert!(writer.write(batch("b", 10)).await.is_err());
    assert!(failure.check().is_err());
}

#[tokio::test]
async fn jobs_queued_before_a_failure_hear_of_it_in_order() {
    let engine = Sim::new();
    let (writer, _failure) = start(&engine);
    engine.fail_sync(true);
    let mut receivers = Vec::new();
    for number in 0..100 {
        let (sender, receiver) = oneshot::channel();
        let done = Done::Caller(sender);
        let job = Job {
            batch: batch(&format!("{number}"), 10),
            sync: true,
            done,
            written: None,
            late: None,
        };
        // The failure may already be known: then the job is refused at the door.
        match writer.submit(job).await {
            Ok(()) => receivers.push(receiver),
            Err(error) => assert!(matches!(error, Error::Failed(_))),
        }
    }
    for receiver in receivers {
        assert!(matches!(receiver.await, Ok(Err(Error::Failed(_)))));
    }
}

#[tokio::test]
async fn callbacks_come_in_order_and_jobs_share_syncs() {
    let engine = Sim::new();
    let (writer, _failure) = start(&engine);
    let before = engine.syncs();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut last = None;
    for number in 0..2000 {
        let (sender, receiver) = oneshot::channel();
        let noted = order.clone();
        let written = Some(Box::new(move || noted.lock().unwrap().push(number)) as Box<_>);
        let done = Done::Caller(sender);
        let job =
            Job { batch: batch(&format!("{number}"), 10), sync: true, done, written, late: None };
        writer.submit(job).await.unwrap();
        last = Some(receiver);
    }
    last.unwrap().await.unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), (0..2000).collect::<Vec<_>>());
    assert!(engine.syncs() - before < 2000, "{} syncs", engine.syncs() - before);
}

#[tokio::test]
async fn a_job_larger_than_the_queue_passes() {
    let engine = Sim::new();
    let (writer, _failure) = start(&engine);
    writer.write(batch("large", 3 * 1024 * 1024)).await.unwrap();
    writer.write(batch("after", 10)).await.unwrap();
}

#[tokio::test]
async fn batches_are_numbered_on_after_a_restart() {
    let engine = Sim::new();
    let (writer, _failure) = start(&engine);
    writer.write(batch("a", 10)).await.unwrap();
    writer.write(batch("b", 10)).await.unwrap();
    let chain = |engine: &Sim| Chain::decode(&engine.get(CHAIN_KEY).unwrap().unwrap());
    assert_eq!(chain(&engine), Some(Chain { number: 2, synced: 1 }));
    let engine = engine.after_power_loss();
    let (writer, _failure) = start(&engine);
    writer.write(batch("c", 10)).await.unwrap();
    assert_eq!(chain(&engine), Some(Chain { number: 3, synced: 2 }));
}
