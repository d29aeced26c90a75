//! F13: the leadership of random shards is handed over, again and again, while clients read and write.

use anyhow::ensure;
use rand::RngExt;
use rand::seq::IndexedRandom as _;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene};
use crate::cluster::Node;

const TIMES: std::ops::RangeInclusive<usize> = 20..=60;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "transfer-storm",
    class: Class::Surroundings,
    needs: Needs::NOTHING,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let times = scene.rng.random_range(TIMES);
    scene.broke(format!("leadership is handed over {times} times"), &[]);
    let mut moved = 0;
    for _ in 0..times {
        moved += usize::from(hand_over(scene).await?);
        hold(scene.rng, 10, 200).await;
    }
    scene.healed();
    tracing::info!(times, moved, "healed");
    // Overlapping faults take leaders and targets away under its hands.
    ensure!(moved * 4 > times, "of {times} hand-overs only {moved} moved anything");
    scene.see_all_led().await
}

/// Hands one shard over; whether its target leads it then.
async fn hand_over(scene: &mut Scene<'_>) -> anyhow::Result<bool> {
    let leaders = scene.cluster.leaders().await;
    let shards = scene.shards();
    let Some(group) = shards.choose(scene.rng).copied() else { return Ok(false) };
    let others: Vec<u64> = scene.cluster.members().map(Node::id).collect();
    let Some(leader) = leaders.get(&group) else { return Ok(false) };
    let others: Vec<u64> = others.into_iter().filter(|id| *id != leader.node).collect();
    let Some(to) = others.choose(scene.rng).copied() else { return Ok(false) };
    // It may have left the cluster just now.
    let Ok(index) = scene.cluster.index_of(leader.node) else { return Ok(false) };
    scene.cluster.hand_over(index, group, to).await;
    hold(scene.rng, 20, 100).await;
    Ok(scene.cluster.leaders().await.get(&group).is_some_and(|leader| leader.node == to))
}
