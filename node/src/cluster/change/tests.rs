use super::*;

fn member(id: u64) -> ClusterMember {
    ClusterMember {
        node_id: id,
        incarnation: format!("disk-{id}"),
        raft_address: format!("node-{id}:8111"),
        api_address: format!("node-{id}:8110"),
    }
}

fn row(ids: &[u64]) -> ClusterMembers {
    ClusterMembers {
        members: ids.iter().map(|id| member(*id)).collect(),
        wanted: ids.to_vec(),
        before: ids.to_vec(),
        settled: true,
        ..ClusterMembers::default()
    }
}

fn request(add: &[u64], remove: &[u64]) -> ChangeMembersRequest {
    ChangeMembersRequest { add: add.to_vec(), remove: remove.to_vec(), ..Default::default() }
}

fn ask(
    row: &ClusterMembers,
    request: &ChangeMembersRequest,
    waiting: &[u64],
    reachable: &[u64],
) -> Result<Option<ClusterMembers>, Refusal> {
    let waiting: Vec<_> = waiting.iter().map(|id| member(*id)).collect();
    let reachable = reachable.iter().copied().collect();
    decide(row, request, &Sight { waiting: &waiting, reachable: &reachable, now_ms: 7 })
}

#[test]
fn a_node_that_waits_is_admitted_with_its_disk() {
    let wanted = ask(&row(&[1, 2, 3]), &request(&[4], &[]), &[4], &[1, 2, 3]).unwrap().unwrap();
    assert_eq!(wanted.wanted, [1, 2, 3, 4]);
    assert_eq!(wanted.before, [1, 2, 3]);
    assert_eq!(wanted.members[3], member(4));
    assert_eq!((wanted.epoch, wanted.settled), (1, false));
}

#[test]
fn a_node_that_does_not_wait_or_waits_twice_is_not_admitted() {
    let there = row(&[1, 2, 3]);
    let refused = ask(&there, &request(&[4], &[]), &[], &[1, 2, 3]).unwrap_err();
    assert_eq!(refused, Refusal::NotWaiting(4));
    let refused = ask(&there, &request(&[4], &[]), &[4, 4], &[1, 2, 3]).unwrap_err();
    assert_eq!(refused, Refusal::Ambiguous { id: 4, count: 2 });
}

#[test]
fn a_lost_node_is_replaced_while_all_others_answer() {
    let there = row(&[1, 2, 3]);
    let wanted = ask(&there, &request(&[4], &[3]), &[4], &[1, 2]).unwrap().unwrap();
    assert_eq!(wanted.wanted, [1, 2, 4]);
    let refused = ask(&there, &request(&[4], &[3]), &[4], &[1]).unwrap_err();
    let wanted = vec![1, 2, 4];
    assert_eq!(refused, Refusal::NotReachable { node: 2, wanted }, "it would hang on one more");
}

#[test]
fn removing_a_node_while_another_is_away_needs_force_and_a_majority() {
    let there = row(&[1, 2, 3, 4, 5]);
    let refused = ask(&there, &request(&[], &[5]), &[], &[1, 2, 3, 5]).unwrap_err();
    assert_eq!(refused, Refusal::NotReachable { node: 4, wanted: vec![1, 2, 3, 4] });
    let force = ChangeMembersRequest { force: true, ..request(&[], &[5]) };
    let wanted = ask(&there, &force, &[], &[1, 2, 3, 5]).unwrap().unwrap();
    assert!(wanted.forced);
    let refused = ask(&there, &force, &[], &[1, 2, 5]).unwrap_err();
    assert!(matches!(refused, Refusal::NoMajority { .. }), "{refused}");
}

#[test]
fn one_change_at_a_time_and_the_same_one_again_is_no_other() {
    let there = row(&[1, 2, 3]);
    let under_way = ask(&there, &request(&[4], &[]), &[4], &[1, 2, 3]).unwrap().unwrap();
    assert_eq!(ask(&under_way, &request(&[4], &[]), &[], &[1, 2, 3]).unwrap(), None);
    let refused = ask(&under_way, &request(&[5], &[]), &[5], &[1, 2, 3, 4]).unwrap_err();
    assert_eq!(refused, Refusal::UnderWay { wanted: vec![1, 2, 3, 4] });
    // A repeat of a replacement finds its old node gone.
    let replacing = ask(&there, &request(&[4], &[3]), &[4], &[1, 2]).unwrap().unwrap();
    assert_eq!(ask(&replacing, &request(&[4], &[3]), &[], &[1, 2]).unwrap(), None);
    let done = settle(&replacing, 9);
    assert_eq!(ask(&done, &request(&[], &[3]), &[], &[1, 2, 4]).unwrap(), None);
}

#[test]
fn who_was_removed_never_comes_back() {
    let shrinking = ask(&row(&[1, 2, 3]), &request(&[], &[3]), &[], &[1, 2, 3]).unwrap().unwrap();
    assert_eq!(shrinking.members.len(), 3, "it is a member until every group has let it go");
    let done = settle(&shrinking, 9);
    assert_eq!(done.members, [member(1), member(2)]);
    assert_eq!((done.removed[0].node_id, &*done.removed[0].incarnation), (3, "disk-3"));
    assert!(done.settled);
    let refused = ask(&done, &request(&[3], &[]), &[3], &[1, 2]).unwrap_err();
    assert_eq!(refused, Refusal::Removed(3));
}

#[test]
fn an_abort_goes_back_and_removes_what_was_being_added() {
    let there = row(&[1, 2, 3]);
    let abort = ChangeMembersRequest { abort: true, ..Default::default() };
    assert_eq!(ask(&there, &abort, &[], &[1, 2, 3]).unwrap_err(), Refusal::NothingToAbort);
    let under_way = ask(&there, &request(&[4], &[]), &[4], &[1, 2, 3]).unwrap().unwrap();
    let back = ask(&under_way, &abort, &[], &[1, 2]).unwrap().unwrap();
    assert_eq!((&back.wanted[..], back.epoch), (&[1, 2, 3][..], 2));
    assert_eq!(ask(&back, &abort, &[], &[1, 2]).unwrap(), None, "aborted already");
    let done = settle(&back, 9);
    assert_eq!(done.removed[0].node_id, 4, "it may have voted");
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let there = row(&[1]);
    for (add, remove, refusal) in [
        (&[][..], &[][..], Refusal::Empty),
        (&[], &[9], Refusal::NotAMember(9)),
        (&[], &[1], Refusal::NobodyLeft),
        (&[2, 3, 4, 5, 6, 7, 8, 9, 10], &[], Refusal::TooMany(10)),
    ] {
        assert_eq!(ask(&there, &request(add, remove), &[], &[1]).unwrap_err(), refusal);
    }
    assert_eq!(ask(&there, &request(&[1], &[]), &[], &[1]).unwrap(), None, "it is one already");
}
