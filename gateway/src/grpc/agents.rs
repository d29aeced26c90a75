//! `axp.v1.Agents`.

use std::pin::Pin;
use std::sync::Arc;

use axp_proto::v1;
use axp_proto::v1::agents_server::Agents as Api;
use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::convert;
use super::enter::{Method, enter};
use super::intents::{first, follow};
use crate::cluster::Item;
use crate::service::{Listening, Service};

pub(super) struct Agents(pub(super) Arc<Service>);

#[tonic::async_trait]
impl Api for Agents {
    type ListenStream = Pin<Box<dyn Stream<Item = Result<v1::Delivery, Status>> + Send>>;

    async fn listen(
        &self,
        request: Request<v1::ListenRequest>,
    ) -> Result<Response<Self::ListenStream>, Status> {
        let method = Method::stream("axp.v1.Agents/Listen");
        enter(&self.0, method, request, async |call, message: v1::ListenRequest| {
            let permits = self.0.limits.stream_of(call.caller.workspace_id())?;
            let Listening { mut subscription, .. } =
                self.0.listen(&call, &message.address, message.since, Vec::new()).await?;
            let first = first(&mut subscription, call.deadline).await?;
            let convert = |item: Item| match item {
                Item::Deliveries(entries) => {
                    let open = entries.iter().filter(|entry| {
                        let status = entry.delivery.as_ref().map(|delivery| delivery.status());
                        status.is_some_and(|status| Listening::shows(&[], status))
                    });
                    open.filter_map(convert::delivery).collect()
                }
                Item::Events(_) | Item::CaughtUp | Item::Complete => Vec::new(),
            };
            Ok(follow(&self.0, subscription, first, permits, convert))
        })
        .await
    }
}
