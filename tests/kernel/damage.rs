//! Fates of packets when even the fallback is gone.

use anyhow::Result;
use aya::maps::{Array, Map, MapData};
use lb_common::{
    abi::root::{KIND_TABLE, KIND_VIPS},
    verdict::Verdict,
};
use support::{
    packet::{CLIENT, Packet},
    sites::{self, HOST, WEB},
    snapshot::Snapshot,
};

use crate::{
    balancer::{Balancer, LOOPBACK},
    content::{delete, slots},
};

/// Bits of ACTIVE at which the two roots stand.
const ROOTS: [u32; 2] = [0, 32];

#[test]
fn without_tables_vips_drop_and_without_vip_tables_all_pass() -> Result<()> {
    // A daemon would mend it.
    let balancer = Balancer::start(sites::one_arm())?.alone()?;
    let program = balancer.balancer()?;
    let snapshot = Snapshot::read(balancer.pins())?;
    let [web, host] = [WEB, HOST].map(|to| Packet::syn(CLIENT, to).bytes());
    let verdict = |frame: &[u8]| balancer.inside(|| Ok(program.fate(frame, LOOPBACK)?.verdict));
    let empty = |kind| -> Result<()> {
        for root in ROOTS {
            for slot in slots(&snapshot, root, kind)? {
                delete(balancer.pins(), slot)?;
            }
        }
        Ok(())
    };

    empty(KIND_TABLE)?;
    assert_eq!(verdict(&web)?, Verdict::DropUnreadable.name());
    assert_eq!(verdict(&host)?, Verdict::PassNotVip.name());

    empty(KIND_VIPS)?;
    assert_eq!(verdict(&web)?, Verdict::PassUnreadable.name());
    assert_eq!(verdict(&host)?, Verdict::PassUnreadable.name());

    let active = MapData::from_pin(balancer.pins().join("maps/ACTIVE"))?;
    Array::<_, u64>::try_from(Map::Array(active))?.set(0, 0, 0)?;
    assert_eq!(verdict(&web)?, Verdict::PassNoGeneration.name());
    Ok(())
}
