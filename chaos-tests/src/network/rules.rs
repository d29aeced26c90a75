//! Rules of `nft`: where they stand, and what becomes of them.

use anyhow::Context as _;

use super::tool::{nft, nft_echo};

/// Where packets are dropped or refused; its strike heals it again, and no other one's.
#[derive(Debug)]
#[must_use]
pub struct Cut {
    rules: Rules,
    handle: u64,
}

/// A chain of rules in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    namespace: String,
    chain: &'static str,
}

impl Rules {
    /// The rules of a bridge's namespace, for what is between others.
    pub(super) fn between(namespace: String) -> Self {
        Self { namespace, chain: "bridge cut forward" }
    }

    /// The rules before a process, for what would reach it: a bridge drops packets, it does not
    /// answer them.
    pub(super) fn before(namespace: String) -> Self {
        Self { namespace, chain: "inet wall input" }
    }

    /// Makes the chain. Its name is family, table and chain.
    pub(super) fn build(&self) -> anyhow::Result<()> {
        let (table, hook) = self.chain.rsplit_once(' ').context("a chain is in a table")?;
        nft(&self.namespace, &format!("add table {table}"))?;
        let chain = format!("add chain {} {{ type filter hook {hook} priority 0; }}", self.chain);
        nft(&self.namespace, &chain).map(drop)
    }

    pub(super) fn add(self, rule: &str) -> anyhow::Result<Cut> {
        let echo = nft_echo(&self.namespace, &format!("add rule {} {rule}", self.chain))?;
        let handle = handle_of(&echo).with_context(|| format!("no handle in {echo:?}"))?;
        Ok(Cut { rules: self, handle })
    }

    fn list(&self) -> anyhow::Result<String> {
        nft(&self.namespace, &format!("list chain {}", self.chain))
    }

    fn delete(&self, handle: u64) -> anyhow::Result<()> {
        nft(&self.namespace, &format!("delete rule {} handle {handle}", self.chain)).map(drop)
    }

    pub(super) fn flush(&self) -> anyhow::Result<()> {
        nft(&self.namespace, &format!("flush chain {}", self.chain)).map(drop)
    }
}

/// Takes these away, and tells how many packets they dropped or refused.
pub(super) fn mend(mut cuts: Vec<Cut>) -> anyhow::Result<u64> {
    let mut packets = 0;
    while let Some(rules) = cuts.first().map(|cut| cut.rules.clone()) {
        let listing = rules.list()?;
        let (here, elsewhere) = cuts.into_iter().partition(|cut| cut.rules == rules);
        cuts = elsewhere;
        for Cut { handle, .. } in here {
            let rule = listing.lines().find(|line| handle_of(line) == Some(handle));
            packets += rule.map_or(0, dropped);
            rules.delete(handle)?;
        }
    }
    Ok(packets)
}

/// By which a rule is deleted: `... # handle 12`.
fn handle_of(rule: &str) -> Option<u64> {
    rule.split_once("# handle ")?.1.split_whitespace().next()?.parse().ok()
}

/// The sum of all counters in a listing of `nft`: `... counter packets 12 bytes 720 drop`.
fn dropped(listing: &str) -> u64 {
    let words: Vec<&str> = listing.split_whitespace().collect();
    let counts = words.windows(2).filter(|pair| pair[0] == "packets");
    counts.filter_map(|pair| pair[1].parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed() {
        let listing = "chain forward {\n type filter hook forward priority filter; policy accept;\n \
            ip saddr 10.0.0.1 ip daddr 10.0.0.2 counter packets 12 bytes 720 drop\n \
            ip saddr 10.0.0.2 ip daddr 10.0.0.1 counter packets 3 bytes 180 drop\n }";
        assert_eq!(dropped(listing), 15);
        assert_eq!(dropped(""), 0);
        assert_eq!(handle_of("ip saddr 10.0.0.1 counter packets 3 drop # handle 12\n"), Some(12));
        assert_eq!(handle_of("chain forward {"), None);
    }
}
