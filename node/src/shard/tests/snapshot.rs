//! A snapshot and the rest of the log are the whole log, through the bytes that nodes send each other,
//! with every kind of command in the history: also those that came after the first version.

use axp_raft_store::SnapshotData;
use openraft::storage::RaftStateMachine as _;

use super::*;
use crate::intent::histories::{any_command, any_submission};

impl Replica {
    /// Takes over another replica's state, by the chunks that it would send.
    async fn install(&mut self, from: &mut Self) {
        let taken = from.machine.get_current_snapshot().await.unwrap().unwrap();
        let received = self.receive(taken.snapshot);
        self.machine.install_snapshot(&taken.meta, received).await.unwrap();
        self.index = from.index;
    }

    fn receive(&self, snapshot: SnapshotData) -> SnapshotData {
        let mut sink = self._store.receive_snapshot(GroupId(1)).unwrap();
        let mut chunks = snapshot.into_chunks();
        for chunk in chunks.by_ref() {
            sink.write(chunk.unwrap()).unwrap();
        }
        let (bytes, checksum) = chunks.end();
        sink.finish(bytes, checksum).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_snapshot_and_the_rest_are_the_whole_log(
        first in any_submission(),
        steps in prop::collection::vec((1_u64..4, any_command(), -50_i64..4_000), 4..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut whole = Replica::new();
            let (mut entries, mut now_ms) = (Vec::new(), NOW);
            let submit = |number| (number, Command::Submit(Arc::new(first.clone())), 0);
            let history = (1..4).map(submit).chain(steps);
            for (number, command, shift) in history {
                now_ms += shift;
                let Some(append) = propose_at(&whole, number, &command, now_ms) else { continue };
                let entry = vec![intent(append)];
                whole.apply(vec![entry.clone()]).await;
                entries.push(entry);
            }
            // Three were submitted; without any there is no snapshot.
            let cut = 1 + cut.index(entries.len());
            let mut leader = Replica::new();
            leader.apply(entries[..cut].to_vec()).await;
            // What was there before is gone with the install.
            let mut follower = Replica::new();
            let stray = propose(&follower, 9, &super::submit()).unwrap();
            follower.apply(vec![vec![intent(stray)]]).await;
            follower.install(&mut leader).await;
            assert_eq!(follower.rows(), leader.rows());
            follower.apply(entries[cut..].to_vec()).await;
            assert_eq!(follower.rows(), whole.rows(), "after {cut} of {}", entries.len());
            for number in 1..4 {
                assert_eq!(
                    follower.reader.intent(id(number)).unwrap(),
                    whole.reader.intent(id(number)).unwrap()
                );
            }
        });
    }
}
