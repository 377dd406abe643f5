//! `holdfast backend drain|ready|maint|weight|reset`: changes of one backend by
//! command. They are plans like any other.

mod wait;

use super::{
    args::{self, BackendObjects, BackendPath},
    change::{carry_out, shown},
    error::{Error, Exit},
    objects,
    terminal::Terminal,
};
use crate::{
    api::{client::Client, model::BackendRequest},
    config::ObjectName,
    plan::BackendWish,
};

pub(super) async fn backend(
    command: &BackendObjects,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    match command {
        BackendObjects::List | BackendObjects::Show { .. } => objects::backends(command, client, terminal).await,
        BackendObjects::Ready(wished) => change(wished, BackendWish::Ready, client, terminal).await,
        BackendObjects::Maint(wished) => change(wished, BackendWish::Maint, client, terminal).await,
        BackendObjects::Reset(wished) => change(wished, BackendWish::Reset, client, terminal).await,
        BackendObjects::Weight(args) => {
            let wish = BackendWish::Weight { weight: args.weight };
            change(&args.wished, wish, client, terminal).await
        }
        BackendObjects::Drain(args) => {
            let deadline = args.deadline;
            let exit = change(&args.wished, BackendWish::Drain { deadline }, client, terminal).await?;
            if args.wait {
                return wait::drained(&args.wished.path, client, terminal).await;
            }
            Ok(exit)
        }
    }
}

async fn change(
    wished: &args::Wished,
    wish: BackendWish,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let request = BackendRequest {
        backend: object(&wished.path),
        wish,
    };
    let plan = terminal.patiently("planning", client.backend(&request)).await?;
    if wished.plan {
        return shown(&plan, client, terminal).await;
    }
    let trial = args::Trial::default();
    carry_out(plan.body, wished.message.clone(), trial, client, terminal).await
}

fn object(path: &BackendPath) -> ObjectName {
    ObjectName::Backend {
        pool: path.pool.clone(),
        backend: path.backend.clone(),
    }
}
