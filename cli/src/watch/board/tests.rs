use serde_json::json;

use super::*;

const ID: &str = "01976f00-0000-7000-8000-000000000001";
const UI: Ui = Ui { json: false, width: Some(80), color: false };

fn at(seconds: i64) -> String {
    clock::rfc3339(1_800_000_000_000 + seconds * 1000)
}

fn shown(board: &Board, seconds: i64) -> String {
    let lines = board.render(UI, 1_800_000_000_000 + seconds * 1000);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    lines.join("\n")
}

fn board() -> Board {
    let steps = vec![
        Step::new("readiness", "agent://acme/prod/deploy-checker"),
        Step::new("sign_off", "operator"),
        Step::new("notify", "owner"),
    ];
    Board::new(ID, "human.cli.v1".into(), steps)
}

fn delivered(board: &mut Board) {
    board
        .fold(&json!({"seq": 1, "at": at(0), "status": "CREATED", "event_type": "intent.created"}));
    board.fold(&json!({"seq": 2, "at": at(1), "status": "DELIVERED",
        "event_type": "intent.delivered", "pending_with":
        {"type": "agent", "ref": "agent://acme/prod/deploy-checker", "name": "deploy-checker"}}));
}

fn waiting(board: &mut Board) {
    board.fold(&json!({"seq": 3, "at": at(13), "status": "WAITING",
        "waiting_reason": "WAITING_FOR_HUMAN", "event_type": "intent.human_task_assigned",
        "pending_with": {"type": "human", "ref": "operator", "name": "operator"},
        "human_task": {"title": "Approve the deploy", "allowed_outcomes": ["approved", "rejected"]},
        "details": {"step_id": "sign_off"}}));
}

#[test]
fn the_next_move_is_shown_with_its_command() {
    let mut board = board();
    delivered(&mut board);
    assert_eq!(
        shown(&board, 5),
        "human.cli.v1  DELIVERED  5s\n  \
         ● readiness  deploy-checker                4s\n  \
         ○ sign_off   operator\n  \
         ○ notify     owner\n\
         waiting for deploy-checker"
    );
    waiting(&mut board);
    assert_eq!(
        shown(&board, 73),
        "human.cli.v1  WAITING  1m 13s\n  \
         ✓ readiness  deploy-checker                12s\n  \
         ● sign_off   operator                      1m\n  \
         ○ notify     owner\n\
         waiting for operator: Approve the deploy\n  \
         axp tasks approve 01976f00-0000-7000-8000-000000000001\n  \
         axp tasks reject 01976f00-0000-7000-8000-000000000001"
    );
}

#[test]
fn an_end_says_what_became_of_each_step() {
    let mut board = board();
    delivered(&mut board);
    waiting(&mut board);
    board.fold(&json!({"seq": 4, "at": at(20), "status": "FAILED", "event_type": "intent.failed",
        "details": {"reason": "rejected by operator"}}));
    assert_eq!(
        shown(&board, 500),
        "human.cli.v1  FAILED  20s\n  \
         ✓ readiness  deploy-checker                12s\n  \
         ✗ sign_off   operator                      7s\n  \
         – notify     owner\n\
         rejected by operator"
    );
}

#[test]
fn a_step_that_failed_stays_so_when_others_follow() {
    let mut board = board();
    delivered(&mut board);
    board.fold(&json!({"seq": 3, "at": at(4), "status": "WAITING", "waiting_reason":
        "WAITING_FOR_TIME", "event_type": "intent.waiting", "pending_with": {"type": "internal",
        "name": "agent_core"}, "details": {"step_id": "readiness",
        "attempt": 1, "reason": "failed", "retry_in_seconds": 30}}));
    assert!(shown(&board, 5).ends_with("attempt 1 failed (failed), again in 30 s"));
    board.fold(&json!({"seq": 4, "at": at(40), "status": "IN_PROGRESS", "event_type":
        "intent.in_progress", "pending_with": {"type": "internal", "name": "agent_core"},
        "details": {"step_id": "readiness", "step_status": "FAILED"}}));
    waiting(&mut board);
    assert!(shown(&board, 60).contains("✗ readiness"), "{}", shown(&board, 60));
    assert!(shown(&board, 60).contains("● sign_off"));
}

#[test]
fn steps_that_nobody_announced_appear_with_their_holder() {
    let mut board = Board::new(ID, ID.into(), Vec::new());
    delivered(&mut board);
    assert!(shown(&board, 2).contains("● deploy-checker"));
    board.fold(&json!({"seq": 3, "at": at(4), "status": "COMPLETED",
        "event_type": "intent.completed", "details": {"result": {"passed": true}}}));
    assert!(shown(&board, 9).ends_with("{\"passed\":true}"));
    assert!(shown(&board, 9).contains("COMPLETED  4s"));
}

#[test]
fn many_steps_do_not_fill_the_terminal() {
    let steps = (0..100).map(|n| Step::new(&format!("step_{n}"), "worker")).collect();
    let mut board = Board::new(ID, "long".into(), steps);
    let step = |n: i64| {
        json!({"seq": n + 2, "at": at(n), "status": "IN_PROGRESS",
        "event_type": "intent.in_progress", "details": {"step_id": format!("step_{n}")}})
    };
    (0..50).for_each(|n| board.fold(&step(n)));
    let text = shown(&board, 50);
    assert!(text.lines().count() <= SHOWN_MAX + 4);
    assert!(text.contains("● step_49") && text.contains("… 43 done before"), "{text}");
}
