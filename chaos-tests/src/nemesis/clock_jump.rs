//! F11: the wall clock of a node or a gateway jumps by an hour, steps back by some seconds, or runs
//! 5 % too fast or too slow. What it shows is read back from the process itself.

use anyhow::ensure;
use rand::RngExt;
use rand::seq::IndexedRandom as _;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene};
use crate::cluster::Process;

const HOUR: i64 = 3600;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "clock-jump",
    class: Class::Surroundings,
    needs: Needs::CLOCKS,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let cluster = scene.cluster;
    let mut places: Vec<(&Process, &str)> = Vec::new();
    places.extend(cluster.members().map(|node| (&node.process, node.admin())));
    places.extend(cluster.gateways.iter().map(|at| (&at.process, at.admin())));
    let Some(&(process, admin)) = places.choose(scene.rng) else { return Ok(()) };
    let back = scene.rng.random_range(5..=30);
    let (offset, speed) = *[(HOUR, 1.0), (-HOUR, 1.0), (-back, 1.0), (0, 1.05), (0, 0.95)]
        .choose(scene.rng)
        .unwrap_or(&(HOUR, 1.0));
    let what = format!("the clock of {} is {offset:+} s off, speed {speed}", process.name());
    scene.broke(what, &[]);
    process.set_clock(offset, speed)?;
    hold(scene.rng, 3000, 8000).await;
    let shown = crate::cluster::clock_ahead(admin).await;
    process.set_clock(0, 1.0)?;
    scene.healed();
    // Whoever is down just then shows none; and drift is too little for whole seconds.
    if let Some(shown) = shown.filter(|_| offset != 0) {
        ensure!(is_felt(offset, shown), "{offset} s show as {shown} s");
    }
    scene.see_all_led().await
}

/// Whether a process that shows a time `shown` seconds ahead of ours has a clock that is `offset` off.
/// The server that dates answers looks at the clock once a second, and not again while that is behind
/// what it saw: a clock that steps back makes its date stand still.
fn is_felt(offset: i64, shown: i64) -> bool {
    if offset < 0 { shown <= -2 } else { (shown - offset).abs() <= 3 }
}
