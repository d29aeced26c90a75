//! Organizations, beside the first one. A gateway makes the one that its configuration names, so each
//! has a gateway of its own that is there only for that.

use std::process::Command;

use anyhow::bail;
use rand::Rng;
use tokio::time::Instant;

use super::config::{FIRST, GatewayAddress, Seed, gateway_toml};
use super::process::Process;
use super::{Cluster, Gateway, POLL, READY_WITHIN, admin, ports};
use crate::tenants::Tenant;
use crate::workload::Flooded;

/// Of one key at one endpoint of the gateway that is flooded: who visits it asks less than that.
const REQUESTS_PER_MINUTE: u32 = 60;

/// The organization that every cluster has; the load does not come from it.
#[must_use]
pub fn first_tenant() -> Tenant {
    Tenant::with_key(0, FIRST.api_key.to_owned())
}

impl Cluster {
    /// Makes so many, and one at least.
    ///
    /// # Errors
    /// When one is not there in time.
    pub async fn make_tenants(
        &self,
        count: usize,
        rng: &mut impl Rng,
    ) -> anyhow::Result<Vec<Tenant>> {
        let mut tenants = Vec::new();
        for _ in 0..count.max(1) {
            let tenant = Tenant::new(rng.next_u64());
            self.seed(&tenant, None).await?.process.kill()?;
            tenants.push(tenant);
        }
        Ok(tenants)
    }

    /// One more, whose gateway stays, is not among those that are broken, and limits rates.
    ///
    /// # Errors
    /// When it is not there in time.
    pub async fn open_to_floods(&mut self, rng: &mut impl Rng) -> anyhow::Result<Flooded> {
        let tenant = Tenant::new(rng.next_u64());
        let gateway = self.seed(&tenant, Some(REQUESTS_PER_MINUTE)).await?;
        let url = gateway.url.clone();
        self.limited = Some(gateway);
        Ok(Flooded { url, tenant })
    }

    async fn seed(&self, tenant: &Tenant, rate: Option<u32>) -> anyhow::Result<Gateway> {
        let ports = ports::pick(3)?;
        // On this machine's own network, as the clients are.
        let [http, grpc, admin] = [0, 1, 2].map(|index| format!("127.0.0.1:{}", ports[index]));
        let probe = format!("http://{admin}/readyz");
        let (organization, api_key) = (tenant.canary.name.as_str(), tenant.api_key.as_str());
        let apis: Vec<String> = self.members().map(|node| node.api().to_owned()).collect();
        let (url, own) = (format!("http://{http}"), GatewayAddress { http, grpc, admin });
        let name = format!("seeding-{organization}");
        let file = self.folder.join(format!("{name}.toml"));
        std::fs::write(&file, gateway_toml(&apis, &own, &Seed { organization, api_key }, rate))?;
        let program = self.gateway_program.clone();
        let launch = Box::new(move |_| Ok(Command::new(&program)));
        let process = Process::new(launch, &file, &self.folder, &name);
        process.start()?;
        let deadline = Instant::now() + READY_WITHIN;
        while !admin::answers_ok(&probe).await {
            process.check_running()?;
            if Instant::now() > deadline {
                bail!("organization {organization} is not there after {READY_WITHIN:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Gateway { process, url, admin: own.admin })
    }
}
