//! `holdfast vip ready|maint|reset`: changes of one VIP by command. They are plans
//! like any other.

use super::{
    args::{self, VipObjects},
    change::{carry_out, shown},
    error::{Error, Exit},
    objects,
    terminal::Terminal,
};
use crate::{
    api::{client::Client, model::VipRequest},
    config::ObjectName,
    plan::VipWish,
};

pub(super) async fn vip(command: &VipObjects, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    match command {
        VipObjects::List => objects::vip_list(client, terminal).await,
        VipObjects::Show { name } => objects::vip(name, client, terminal).await,
        VipObjects::Ready(wished) => change(wished, VipWish::Ready, client, terminal).await,
        VipObjects::Maint(wished) => change(wished, VipWish::Maint, client, terminal).await,
        VipObjects::Reset(wished) => change(wished, VipWish::Reset, client, terminal).await,
    }
}

async fn change(
    wished: &args::WishedVip,
    wish: VipWish,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let request = VipRequest {
        vip: ObjectName::Vip(wished.name.clone()),
        wish,
    };
    let plan = terminal.patiently("planning", client.vip(&request)).await?;
    if wished.plan {
        return shown(&plan, client, terminal).await;
    }
    let trial = args::Trial::default();
    carry_out(plan.body, wished.message.clone(), trial, client, terminal).await
}
