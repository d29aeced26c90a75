//! Human tasks: what a submit may say of one, which answers it takes, and what an answer says
//! (contract, tasks.md 2 and 3). The shard decides; what it decides by is read from JSON here.

mod answer;
mod form;
mod linked;
mod list;
mod rules;

pub(super) use self::answer::{Prepared, is_task_pending};
pub(crate) use self::linked::{LinkChannel, Linked, OpenLink};
pub(crate) use self::list::OpenTasks;
pub(super) use self::rules::rules;
