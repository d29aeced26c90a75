//! Any sequence of commands at any times.

use axp_proto::log::{Event, Grant, StateChange, TimerChange};
use proptest::prelude::*;

use super::*;

/// The transitions of the contract (intents.md 1) with its required additions: a result, an owner's
/// end and a deadline may come at any time.
fn is_allowed(from: Status, to: Status) -> bool {
    use Status::{
        Acknowledged, Canceled, Completed, Created, Delivered, Failed, InProgress, Submitted,
        TimedOut, Waiting,
    };
    let open = !from.is_terminal();
    match to {
        Completed | Failed | Canceled | TimedOut => open,
        Created | Status::Unspecified => false,
        Submitted => from == Created,
        Delivered => from == Submitted,
        Acknowledged => from == Delivered,
        InProgress => matches!(from, Submitted | Delivered | Acknowledged | Waiting),
        Waiting => matches!(from, Submitted | Delivered | Acknowledged | InProgress),
    }
}

pub(crate) fn any_submission() -> impl Strategy<Value = Submission> {
    let mode = prop_oneof![
        Just(DeliveryMode::Stream),
        Just(DeliveryMode::Http),
        Just(DeliveryMode::Internal),
        Just(DeliveryMode::Unspecified)
    ];
    (mode, any::<bool>(), prop::option::of(1_u32..3), any::<bool>()).prop_map(
        |(mode, task, max_reminders, escalates)| {
            let base = if task { human::task() } else { submission() };
            Submission {
                delivery_mode: mode.into(),
                deadline_at_ms: Some(NOW + 40_000),
                remind_after_seconds: Some(2),
                max_reminders,
                escalate_to: if escalates {
                    "agent://acme/prod/boss".into()
                } else {
                    String::new()
                },
                escalation: escalates.then(|| holder("boss", DeliveryMode::Inbox)),
                ..base
            }
        },
    )
}

pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let expected = || prop_oneof![Just(None), Just(Some(0)), Just(Some(1))].prop_map(Expected);
    let status = prop_oneof![
        Just(Status::Completed),
        Just(Status::Failed),
        Just(Status::Canceled),
        Just(Status::Waiting)
    ];
    let mode = || {
        prop_oneof![Just(DeliveryMode::Stream), Just(DeliveryMode::Http), Just(DeliveryMode::Poll)]
    };
    let timer = prop_oneof![
        Just(TimerKind::Deadline),
        Just(TimerKind::Reminder),
        Just(TimerKind::Escalation),
        Just(TimerKind::Execution)
    ];
    let outcome = prop_oneof![Just("approved"), Just("rejected"), Just("maybe")];
    let to = prop_oneof![Just("checker"), Just("second"), Just("third")];
    prop_oneof![
        1 => any_submission().prop_map(|submission| Command::Submit(Arc::new(submission))),
        1 => (status, expected()).prop_map(|(status, expected)| Command::Resolve(Resolve {
            status,
            outcome_json: Bytes::from_static(b"{}"),
            reason: "r".into(),
            actor: "a".into(),
            expected,
            ..Resolve::default()
        })),
        1 => (any::<bool>(), expected()).prop_map(|(failed, expected)| Command::AgentResult(AgentResult {
            failed,
            outcome_json: Bytes::new(),
            actor: "a".into(),
            expected,
            ..AgentResult::default()
        })),
        2 => expected().prop_map(|expected| Command::ControlResume {
            reason: String::new(),
            actor: "a".into(),
            expected,
        }),
        6 => timer.prop_map(Command::Expire),
        1 => (outcome, expected()).prop_map(|(outcome, expected)| {
            Command::TaskResult(TaskResult { expected, ..human::answer(outcome) })
        }),
        2 => (to, mode()).prop_map(|(to, mode)| Command::Transfer(Transfer {
            to: holder(to, mode),
            actor: "a".into(),
            reason: String::new(),
        })),
        2 => mode().prop_map(Command::Rebind),
        4 => (1_u32..4, any::<bool>()).prop_map(|(attempt, delivered)| {
            Command::DeliveryResult(DeliveryResult { attempt, delivered, error: "e".into() })
        }),
        2 => Just(Command::Acknowledge { actor: "a".into() }),
        2 => (0_u32..3, expected()).prop_map(|(value, expected)| {
            policy::controls(&[("timeout_seconds", &value.to_string())], expected.0)
        }),
        1 => (any::<bool>(), expected()).prop_map(|(gives, expected)| {
            let allow = if gives { vec!["resume".to_owned()] } else { Vec::new() };
            let grants = vec![Grant { grantee: "agent://acme/ops/d".to_owned(), allow }];
            Command::UpdatePolicy(UpdatePolicy { grants, expected, ..UpdatePolicy::default() })
        }),
    ]
}

/// One append as the log has it.
#[derive(Debug)]
struct Logged {
    events: Vec<Event>,
    timers: Vec<TimerChange>,
    changes: Vec<StateChange>,
}

fn logged(decision: Decision) -> Logged {
    Logged { events: decision.events, timers: decision.timers, changes: decision.changes }
}

/// Folds appends as every replica does.
fn replay(mut intent: Intent, appends: &[Logged]) -> Intent {
    for append in appends {
        append.events.iter().for_each(|event| intent.evolve(event));
        append.timers.iter().for_each(|timer| intent.change_timer(timer));
        fold_changes(&mut intent.state, &append.changes, append.events.is_empty());
    }
    intent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_history_is_sound(
        first in any_submission(),
        steps in prop::collection::vec((any_command(), -50_i64..4_000), 1..24),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut intent, decision) = submitted(first);
        let mut deposits: Vec<(String, bool)> = Vec::new();
        let mut track = |decision: &Decision| {
            let (put, taken) = moves(decision);
            deposits.retain(|(address, _)| !taken.contains(address));
            deposits.extend(put.into_iter().map(|address| (address, true)));
            deposits.sort();
            deposits.dedup();
            deposits.len()
        };
        track(&decision);
        let mut appends = vec![logged(decision)];
        let mut now_ms = NOW;
        for (command, shift) in steps {
            now_ms += shift;
            let verdict = decide(id(), Some(&intent), &command, now_ms);
            let Ok(Verdict::Append(decision)) = verdict else { continue };
            prop_assert!(!intent.is_terminal(), "nothing follows a terminal event");
            let position = (intent.state.last_seq, intent.state.changes);
            intent = append(Some(intent), &decision);
            // Every append moves the position on: an old proposal cannot fit a second time.
            prop_assert_ne!(position, (intent.state.last_seq, intent.state.changes));
            let lies_in = track(&decision);
            prop_assert!(lies_in <= 1, "an intent lies in one mailbox");
            prop_assert!(!intent.is_terminal() || lies_in == 0, "and in none when it has ended");
            // The same request again changes nothing, where it names what it expects or is a fact.
            let fact = matches!(command, Command::DeliveryResult(_) | Command::Rebind(_)
                | Command::Acknowledge { .. } | Command::Transfer(_) | Command::UpdateControls(_)
                | Command::UpdatePolicy(_));
            let again = decide(id(), Some(&intent), &command, now_ms);
            prop_assert!(!fact || !matches!(again, Ok(Verdict::Append(_))), "{:?}", command);
            appends.push(logged(decision));
        }
        let events: Vec<&Event> = appends.iter().flat_map(|append| &append.events).collect();
        prop_assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq), "dense");
        prop_assert!(events.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
        prop_assert!(events.iter().filter(|event| event.status().is_terminal()).count() <= 1);
        for pair in events.windows(2) {
            let (from, to) = (pair[0].status(), pair[1].status());
            prop_assert!(from == to || is_allowed(from, to), "{:?} -> {:?}", from, to);
        }
        for event in &events {
            let waits = event.status() == Status::Waiting;
            prop_assert_eq!(waits, event.waiting_reason() != WaitingReason::Unspecified);
        }
        // Replay equals live; a snapshot and the rest equal the whole log.
        let new = || Intent::new(id(), Arc::clone(&intent.submission));
        let replayed = replay(new(), &appends);
        prop_assert_eq!(&replayed, &intent);
        let cut = cut.index(appends.len() + 1);
        let snapshot = replay(new(), &appends[..cut]);
        prop_assert_eq!(replay(snapshot, &appends[cut..]), intent);
    }
}
