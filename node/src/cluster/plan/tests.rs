use proptest::prelude::*;

use super::*;

fn set(ids: &[u64]) -> BTreeSet<u64> {
    ids.iter().copied().collect()
}

fn goal(wanted: &[u64]) -> Goal {
    Goal { wanted: set(wanted), forced: false }
}

fn uniform(leader: u64, voters: &[u64]) -> Replicas {
    Replicas {
        leader,
        voters: vec![set(voters)],
        learners: BTreeSet::new(),
        committed: true,
        caught_up: set(voters),
    }
}

fn groups(replicas: &[Replicas]) -> BTreeMap<GroupId, Option<Replicas>> {
    (0..).map(GroupId).zip(replicas.iter().cloned().map(Some)).collect()
}

const CONTROL: GroupId = GroupId(0);
const SHARD: GroupId = GroupId(1);

#[test]
fn nothing_to_do_is_done() {
    let there = groups(&[uniform(1, &[1, 2, 3]), uniform(2, &[1, 2, 3])]);
    assert_eq!(next_step(&goal(&[1, 2, 3]), &there, &set(&[1])), Step::Done);
}

#[test]
fn the_control_group_learns_first_and_votes_last() {
    let all = set(&[1, 2, 3, 4]);
    let wanted = goal(&[1, 2, 4]);
    let (mut control, mut shard) = (uniform(1, &[1, 2, 3]), uniform(3, &[1, 2, 3]));
    let step = |control: &Replicas, shard: &Replicas| {
        next_step(&wanted, &groups(&[control.clone(), shard.clone()]), &all)
    };
    assert_eq!(step(&control, &shard), Step::AddLearner { group: CONTROL, node: 4 });
    control.learners = set(&[4]);
    let waits = Reason::CatchingUp { group: CONTROL, node: 4 };
    assert_eq!(step(&control, &shard), Step::Wait(waits));
    control.caught_up = all.clone();
    assert_eq!(step(&control, &shard), Step::AddLearner { group: SHARD, node: 4 });
    shard.learners = set(&[4]);
    shard.caught_up = all.clone();
    // It is led by a node that leaves, and goes to the one that should lead it.
    assert_eq!(step(&control, &shard), Step::MoveLeader { group: SHARD, to: 2 });
    shard.leader = 2;
    let voters = set(&[1, 2, 4]);
    assert_eq!(step(&control, &shard), Step::SetVoters { group: SHARD, voters: voters.clone() });
    let shard = uniform(2, &[1, 2, 4]);
    assert_eq!(step(&control, &shard), Step::SetVoters { group: CONTROL, voters });
    assert_eq!(step(&uniform(1, &[1, 2, 4]), &shard), Step::Done);
}

#[test]
fn a_joint_membership_is_finished_before_anything_begins() {
    let mut shard = uniform(1, &[1, 2, 3]);
    shard.voters = vec![set(&[1, 2, 3]), set(&[1, 2, 4])];
    shard.caught_up = set(&[1, 2, 3, 4]);
    let there = groups(&[uniform(1, &[1, 2, 3]), shard.clone()]);
    // Node 4 died on the way: who is left is a majority of both sets.
    let step = next_step(&goal(&[1, 2, 4]), &there, &set(&[1, 2, 3]));
    assert_eq!(step, Step::SetVoters { group: SHARD, voters: set(&[1, 2, 4]) });
    // The change was aborted: back, not forth and back.
    let step = next_step(&goal(&[1, 2, 3]), &there, &set(&[1, 2, 3]));
    assert_eq!(step, Step::SetVoters { group: SHARD, voters: set(&[1, 2, 3]) });
    shard.committed = false;
    let there = groups(&[uniform(1, &[1, 2, 3]), shard]);
    let step = next_step(&goal(&[1, 2, 4]), &there, &set(&[1, 2, 3]));
    assert_eq!(step, Step::Wait(Reason::Uncommitted(SHARD)));
}

#[test]
fn voters_go_only_while_all_that_are_wanted_are_well() {
    let there = groups(&[uniform(1, &[1, 2, 3, 4, 5])]);
    let wanted = goal(&[1, 2, 3]);
    let step = next_step(&wanted, &there, &set(&[1, 2, 4, 5]));
    assert_eq!(step, Step::Wait(Reason::Unreachable(3)));
    let forced = Goal { forced: true, ..wanted };
    let step = next_step(&forced, &there, &set(&[1, 2, 4, 5]));
    assert_eq!(step, Step::SetVoters { group: CONTROL, voters: set(&[1, 2, 3]) });
    let step = next_step(&forced, &there, &set(&[1, 4, 5]));
    assert_eq!(step, Step::Wait(Reason::Unreachable(2)), "never without a majority");
}

#[test]
fn learners_that_nobody_wants_go() {
    let mut shard = uniform(1, &[1, 2, 3]);
    shard.learners = set(&[4]);
    let there = groups(&[uniform(1, &[1, 2, 3]), shard]);
    let step = next_step(&goal(&[1, 2, 3]), &there, &set(&[1, 2, 3]));
    assert_eq!(step, Step::RemoveLearner { group: SHARD, node: 4 });
}

/// Groups as Raft would have them, with what may happen between two steps.
struct Model {
    groups: BTreeMap<GroupId, Replicas>,
    reachable: BTreeSet<u64>,
}

impl Model {
    fn views(&self) -> BTreeMap<GroupId, Option<Replicas>> {
        let quorate = |replicas: &Replicas| {
            replicas.voters.iter().all(|set| is_majority(set, &self.reachable))
        };
        let view = |(group, replicas): (&GroupId, &Replicas)| {
            (*group, quorate(replicas).then(|| replicas.clone()))
        };
        self.groups.iter().map(view).collect()
    }

    /// What a crash, a return, or time changes.
    fn disturb(&mut self, event: &Event) {
        match event {
            Event::Away(node) => drop(self.reachable.remove(node)),
            Event::Back(node) => drop(self.reachable.insert(*node)),
            Event::CaughtUp => self.catch_up(),
            Event::Leader(turn) => {
                for replicas in self.groups.values_mut() {
                    let voters: Vec<u64> = replicas.voters.iter().flatten().copied().collect();
                    replicas.leader = voters[turn % voters.len()];
                }
            }
        }
    }

    fn catch_up(&mut self) {
        for replicas in self.groups.values_mut() {
            let all = replicas.voters.iter().flatten().chain(&replicas.learners);
            let well: BTreeSet<u64> =
                all.copied().filter(|node| self.reachable.contains(node)).collect();
            replicas.caught_up = well;
        }
    }

    /// Takes the step, as far as a crash of the leader lets it, and checks that it was safe.
    fn take(&mut self, step: &Step, crash: bool) {
        match step {
            Step::AddLearner { group, node } => {
                let replicas = self.groups.get_mut(group).unwrap();
                assert!(!replicas.voters.iter().any(|set| set.contains(node)));
                replicas.learners.insert(*node);
                replicas.caught_up.remove(node);
            }
            Step::MoveLeader { group, to } => {
                let replicas = self.groups.get_mut(group).unwrap();
                assert!(replicas.voters.iter().any(|set| set.contains(to)));
                replicas.leader = *to;
            }
            Step::SetVoters { group, voters } => self.set_voters(*group, voters, crash),
            Step::RemoveLearner { group, node } => {
                assert!(self.groups.get_mut(group).unwrap().learners.remove(node));
            }
            Step::Wait(_) | Step::Done => {}
        }
    }

    fn set_voters(&mut self, group: GroupId, voters: &BTreeSet<u64>, crash: bool) {
        for (other, replicas) in &self.groups {
            assert!(*other == group || replicas.voters.len() == 1, "one joint group at a time");
        }
        let replicas = self.groups.get_mut(&group).unwrap();
        let well: BTreeSet<u64> =
            replicas.caught_up.intersection(&self.reachable).copied().collect();
        assert!(is_majority(voters, &well), "{voters:?} could commit nothing with {well:?}");
        let before: BTreeSet<u64> = replicas.voters.iter().flatten().copied().collect();
        let known: BTreeSet<u64> = before.union(&replicas.learners).copied().collect();
        assert!(voters.is_subset(&known), "a voter that was no learner before");
        if replicas.voters.len() == 2 {
            // One step out of a joint membership, to either side.
            assert!(replicas.voters.contains(voters));
        } else if crash {
            replicas.voters.push(voters.clone());
            replicas.learners = replicas.learners.difference(voters).copied().collect();
            return;
        }
        replicas.voters = vec![voters.clone()];
        replicas.learners = replicas.learners.difference(voters).copied().collect();
        replicas.caught_up = replicas.caught_up.intersection(&known).copied().collect();
        if !voters.contains(&replicas.leader) {
            replicas.leader = *voters.first().unwrap();
        }
    }
}

fn is_majority(of: &BTreeSet<u64>, nodes: &BTreeSet<u64>) -> bool {
    of.intersection(nodes).count() * 2 > of.len()
}

#[derive(Debug, Clone)]
enum Event {
    Away(u64),
    Back(u64),
    CaughtUp,
    Leader(usize),
}

fn events() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let event = prop_oneof![
        (1..=6_u64).prop_map(Event::Away),
        (1..=6_u64).prop_map(Event::Back),
        Just(Event::CaughtUp),
        (0..6_usize).prop_map(Event::Leader),
    ];
    prop::collection::vec((event, any::<bool>()), 0..40)
}

fn nodes() -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(1..=6_u64, 1..=5)
}

proptest! {
    /// Whatever crashes, and whether or not the change is aborted on the way: no step is unsafe, and
    /// when all is well again, a bounded number of steps ends where it should.
    #[test]
    fn the_wanted_members_are_reached_and_no_step_is_unsafe(
        before in nodes(),
        wanted in nodes(),
        forced in any::<bool>(),
        abort in any::<bool>(),
        events in events(),
    ) {
        let first = *before.first().unwrap();
        let start = Replicas {
            leader: first,
            voters: vec![before.clone()],
            learners: BTreeSet::new(),
            committed: true,
            caught_up: before.clone(),
        };
        let mut model = Model {
            groups: (0..3).map(|group| (GroupId(group), start.clone())).collect(),
            reachable: (1..=6).collect(),
        };
        let mut goal = Goal { wanted, forced };
        for (event, crash) in &events {
            model.disturb(event);
            let step = next_step(&goal, &model.views(), &model.reachable);
            model.take(&step, *crash);
        }
        if abort {
            goal = Goal { wanted: before, forced: true };
        }
        model.reachable = (1..=6).collect();
        let mut steps = 0;
        loop {
            model.catch_up();
            let step = next_step(&goal, &model.views(), &model.reachable);
            if step == Step::Done {
                break;
            }
            prop_assert!(!matches!(step, Step::Wait(_)), "{step}");
            model.take(&step, false);
            steps += 1;
            prop_assert!(steps <= 3 * (6 + 1 + 2 + 6), "it goes round in circles: {step}");
        }
        for replicas in model.groups.values() {
            prop_assert_eq!(&replicas.voters, &vec![goal.wanted.clone()]);
            prop_assert!(replicas.learners.is_empty());
        }
    }
}
