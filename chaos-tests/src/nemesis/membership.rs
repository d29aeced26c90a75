//! A change of members, and what happens in the middle of it: shared by the nemeses that make one.
//!
//! A change has to be done within a minute after the last disturbance, or to be undone where an
//! operator went back; and then every group has exactly the wanted voters, none of them joint.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axp_proto::node::{ChangeMembersRequest, ClusterMembers};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::time::Instant;

use super::Scene;
use super::scene::hold;
use crate::cluster::{Node, newest_row, unlike};
use crate::history::FaultRecord;
use crate::network::Place;

/// What P13 allows, from the end of whatever disturbs it.
const DONE_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// What a node says that was removed.
const REMOVED: &str = "was removed";

/// What happens in the middle of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Nothing,
    /// The node that drives it is killed, and comes back.
    KillDriver,
    /// Any other member is killed, and comes back.
    KillMember,
    /// The node that drives it does not see the other nodes for some seconds.
    CutDriver,
    /// The operator goes back.
    Abort,
}

impl Meanwhile {
    pub(super) fn any(rng: &mut StdRng) -> Self {
        let all = [Self::Nothing, Self::KillDriver, Self::KillMember, Self::CutDriver, Self::Abort];
        all.choose(rng).copied().unwrap_or(Self::Nothing)
    }
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Everything is as it was before.
    Undone,
}

/// Who comes and who goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) add: Option<&'a Node>,
    pub(super) remove: Option<&'a Node>,
}

impl Change<'_> {
    /// Asks for it, lets something happen in the middle, and sees how it ends.
    pub(super) async fn make(
        self,
        scene: &mut Scene<'_>,
        meanwhile: Meanwhile,
    ) -> anyhow::Result<Outcome> {
        let fault = scene.fault(String::new(), &[]);
        let row = scene.cluster.change_members(&self.request(), DONE_WITHIN).await?;
        if let Some(node) = self.add {
            node.set_member(true);
        }
        let begun = Instant::now();
        let disturbed = match see_middle(scene, &row).await? {
            true => disturb(scene, meanwhile).await?,
            false => "done before anything could happen",
        };
        let ClusterMembers { before, wanted, .. } = &row;
        let change = format!("members {before:?} become {wanted:?}, {disturbed}");
        let undisturbed = Instant::now();
        let outcome = see_settled(scene, &row).await.with_context(|| change.clone())?;
        ensure!(
            outcome == Outcome::Done || meanwhile == Meanwhile::Abort,
            "{change}: nobody wanted to go back"
        );
        let (all, rest) = (begun.elapsed().as_millis(), undisturbed.elapsed().as_millis());
        let what = format!("{change}: {outcome:?} after {all} ms, {rest} ms undisturbed");
        scene.record(FaultRecord { what, ..fault });
        self.make_room(scene, outcome).await?;
        Ok(outcome)
    }

    fn request(self) -> ChangeMembersRequest {
        let ids = |node: Option<&Node>| node.map(Node::id).into_iter().collect();
        let (add, remove) = (ids(self.add), ids(self.remove));
        ChangeMembersRequest { add, remove, ..ChangeMembersRequest::default() }
    }

    /// Whoever belongs to the cluster is ready, and whoever does not is gone.
    async fn make_room(self, scene: &mut Scene<'_>, outcome: Outcome) -> anyhow::Result<()> {
        let (stays, goes) = match outcome {
            Outcome::Done => (self.add, self.remove),
            Outcome::Undone => (self.remove.filter(|node| node.process.pid().is_some()), self.add),
        };
        if let Some(node) = stays {
            scene.cluster.wait_node_ready(node.index).await?;
        }
        match goes {
            Some(node) => see_off(scene, node).await,
            None => Ok(()),
        }
    }
}

/// Waits until a random part of the change is done; whether it is still under way then.
async fn see_middle(scene: &mut Scene<'_>, row: &ClusterMembers) -> anyhow::Result<bool> {
    let groups = u64::from(scene.cluster.shape.shard_groups) + 1;
    // Two steps for each: a new learner or a joint membership, and the wanted voters.
    let depth = scene.rng.random_range(0..2 * groups);
    let wanted = as_set(&row.wanted);
    let deadline = Instant::now() + DONE_WITHIN;
    loop {
        let statuses = scene.cluster.statuses().await;
        if newest_row(&statuses).is_some_and(|now| now.epoch == row.epoch && now.settled) {
            return Ok(false);
        }
        let led = statuses.iter().flat_map(|status| &status.groups);
        let steps = led.filter(|group| group.role == "leader").map(|group| {
            let joint = !group.learners.is_empty() || !group.next_voters.is_empty();
            if as_set(&group.voters) == wanted { 2 } else { u64::from(joint) }
        });
        if steps.sum::<u64>() >= depth {
            return Ok(true);
        }
        if Instant::now() > deadline {
            bail!("the change to the members {:?} does not get on", row.wanted);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Lets it happen, and says what it was.
async fn disturb(scene: &mut Scene<'_>, meanwhile: Meanwhile) -> anyhow::Result<&'static str> {
    match meanwhile {
        Meanwhile::Nothing => Ok("undisturbed"),
        Meanwhile::KillDriver => {
            let driver = driver(scene).await?;
            kill(scene, driver, "which drives the change").await?;
            Ok("its driver was killed")
        }
        Meanwhile::KillMember => {
            let driver = driver(scene).await?;
            let runs = |node: &&Node| node.index != driver && node.process.pid().is_some();
            let others: Vec<usize> =
                scene.cluster.members().filter(runs).map(|node| node.index).collect();
            let index = *others.choose(scene.rng).context("nobody else runs")?;
            kill(scene, index, "amid a change").await?;
            Ok("a member was killed")
        }
        Meanwhile::CutDriver => {
            let driver = driver(scene).await?;
            cut(scene, driver).await?;
            Ok("its driver was cut off")
        }
        Meanwhile::Abort => {
            let back = ChangeMembersRequest { abort: true, ..ChangeMembersRequest::default() };
            // Too late is no failure: then it is done.
            let asked = scene.cluster.change_members(&back, Duration::ZERO).await;
            Ok(if asked.is_ok() { "the operator went back" } else { "too late to go back" })
        }
    }
}

/// Whoever leads the control group drives the change.
async fn driver(scene: &Scene<'_>) -> anyhow::Result<usize> {
    let leaders = scene.cluster.wait_led(&[0], None, DONE_WITHIN).await?;
    scene.cluster.index_of(leaders[&0].node)
}

/// Kills a node and starts it again. Whether it comes up is seen when the change is done: it may
/// be the one that goes, and then it may not.
async fn kill(scene: &mut Scene<'_>, index: usize, role: &str) -> anyhow::Result<()> {
    let node = &scene.cluster.nodes[index];
    let led = scene.led_by(node).await;
    scene.broke(format!("kill -9 node {}, {role}", node.id()), &led);
    node.process.kill()?;
    hold(scene.rng, 0, 2000).await;
    node.process.start()?;
    scene.leaders_seen(&led, None).await.map(drop)
}

async fn cut(scene: &mut Scene<'_>, index: usize) -> anyhow::Result<()> {
    let node = &scene.cluster.nodes[index];
    let led = scene.led_by(node).await;
    let cuts = scene.cut_both(&[Place::Node(index)], &scene.other_nodes(index))?;
    scene.broke(format!("node {}, which drives the change, is cut off", node.id()), &led);
    hold(scene.rng, 1000, 6000).await;
    let dropped = scene.cluster.network()?.mend(cuts)?;
    ensure!(dropped > 0, "cutting off node {} dropped nothing", node.id());
    scene.leaders_seen(&led, None).await.map(drop)
}

/// Waits until the change is done or undone, in the row and in every group.
async fn see_settled(scene: &Scene<'_>, asked: &ClusterMembers) -> anyhow::Result<Outcome> {
    let deadline = Instant::now() + DONE_WITHIN;
    loop {
        let statuses = scene.cluster.statuses().await;
        let row = newest_row(&statuses).cloned().unwrap_or_default();
        let wrong = unlike(&statuses, scene.cluster.shape.shard_groups, &as_set(&row.wanted));
        if row.settled && row.epoch >= asked.epoch && wrong.is_none() {
            return match row.wanted {
                now if now == asked.wanted => Ok(Outcome::Done),
                now if now == asked.before => Ok(Outcome::Undone),
                now => bail!("nobody wanted the members {now:?}"),
            };
        }
        if Instant::now() > deadline {
            let doing: Vec<_> = statuses.iter().map(|status| &status.change_progress).collect();
            bail!("not within {DONE_WITHIN:?}: {wrong:?}, the nodes say {doing:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A node that was removed ends by itself, and if it is started again, too. Its place is free then.
async fn see_off(scene: &mut Scene<'_>, node: &Node) -> anyhow::Result<()> {
    node.set_member(false);
    if node.process.pid().is_some() {
        see_it_go(node).await?;
    }
    if scene.rng.random_bool(0.3) {
        node.process.start()?;
        see_it_go(node).await?;
    }
    Ok(())
}

async fn see_it_go(node: &Node) -> anyhow::Result<()> {
    let status = node.process.wait_ended(ENDS_WITHIN).await?;
    let last = node.process.last_words()?;
    ensure!(last.contains(REMOVED), "node {}, removed, ended with {status}: {last}", node.id());
    Ok(())
}

fn as_set(ids: &[u64]) -> BTreeSet<u64> {
    ids.iter().copied().collect()
}
