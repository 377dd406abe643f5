//! The device's routes and rules, through netlink.

use std::{fs, net::Ipv4Addr, net::Ipv6Addr};

use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use crate::neighbours::{self, NetlinkError};

/// Rules are asked in this order; ours before those that others make without
/// saying where, which begin just below 32,766.
const PRIORITY: u32 = 4846;

/// See the module.
pub struct Routes {
    handle: Handle,
    mark: u32,
}

impl Routes {
    fn of(mark: u32) -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        // Ends with the last handle.
        tokio::spawn(connection);
        Ok(Self { handle, mark })
    }

    /// Sets the device up, and leads what has the mark to it. What an earlier
    /// daemon left is replaced.
    pub async fn set(mark: u32, name: &str, mtu: u16) -> Result<(), NetlinkError> {
        let routes = Self::of(mark)?;
        let links = neighbours::links().await?;
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let index = links.get(name).ok_or_else(gone)?.ifindex;
        let up = LinkUnspec::new_with_index(index).mtu(mtu.into()).up().build();
        routes.handle.link().set(up).execute().await?;
        routes.take_rules_away().await;
        let to_v4 = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(index)
            .table_id(mark)
            .build();
        routes.handle.route().add(to_v4).replace().execute().await?;
        routes
            .handle
            .rule()
            .add()
            .v4()
            .fw_mark(mark)
            .table_id(mark)
            .priority(PRIORITY)
            .action(RuleAction::ToTable)
            .execute()
            .await?;
        if let Err(error) = routes.set_v6(index).await {
            crate::event!(warn, TunnelProblem, %error, "checks of IPv6 VIPs cannot go through tunnels: is IPv6 off?");
        }
        Ok(())
    }

    async fn set_v6(&self, index: u32) -> Result<(), NetlinkError> {
        let to = RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(index)
            .table_id(self.mark)
            .build();
        self.handle.route().add(to).replace().execute().await?;
        let rule = self.handle.rule().add().v6().fw_mark(self.mark).table_id(self.mark);
        rule.priority(PRIORITY).action(RuleAction::ToTable).execute().await?;
        Ok(())
    }

    pub async fn remove(mark: u32) -> Result<(), NetlinkError> {
        Self::of(mark)?.take_rules_away().await;
        Ok(())
    }

    /// As many as there are: each request takes one away.
    async fn take_rules_away(&self) {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            loop {
                let mut rule = RuleMessage::default();
                rule.header.family = family;
                rule.header.action = RuleAction::ToTable;
                rule.attributes = vec![
                    RuleAttribute::Table(self.mark),
                    RuleAttribute::FwMark(self.mark),
                    RuleAttribute::Priority(PRIORITY),
                ];
                if self.handle.rule().del(rule).execute().await.is_err() {
                    // ENOENT: that was the last.
                    break;
                }
            }
        }
    }
}

/// Answers come from a VIP, by the interface of the backend; a strict filter
/// (RFC 3704 §2.2) drops them where the route towards the VIP is elsewhere.
pub fn warn_of_filters() {
    let value = |interface: &str| -> Option<u8> {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter")).ok()?;
        text.trim().parse().ok()
    };
    let all = value("all").unwrap_or(0);
    let Ok(interfaces) = fs::read_dir("/proc/sys/net/ipv4/conf") else {
        return;
    };
    let names = interfaces.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let others = names.filter(|name| !matches!(name.as_str(), "all" | "default" | "lo") && !name.starts_with("hf-"));
    // The kernel takes the larger of the two.
    let strict: Vec<String> = others
        .filter(|name| all.max(value(name).unwrap_or(0)) == STRICT)
        .collect();
    if !strict.is_empty() {
        crate::event!(
            warn,
            TunnelProblem,
            interfaces = strict.join(", "),
            "rp_filter is strict: answers of backends to checks through the tunnel are dropped where the route towards \
             the VIP is elsewhere. If such checks run out of time: sysctl net.ipv4.conf.INTERFACE.rp_filter=2"
        );
    }
}

/// `net.ipv4.conf.*.rp_filter`; 2 is loose.
const STRICT: u8 = 1;
