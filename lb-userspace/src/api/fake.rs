//! A backing for tests: fixed answers, and a record of what was applied.
//!
//! It shows how the API carries answers, and nothing about the daemon's.

use std::sync::Mutex;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    auth::Peer,
    backing::{Answer, Backing},
    model::{
        Applied, ApplyRequest, Approvals, ApproveRequest, BackendRequest, BpfDump, BpfVerify, BreakGlassRequest,
        ExportQuery, Failure, GenerationDetail, History, HoldRequest, InterfacesRequest, Journal, JournalVerify,
        PlanRequest, PreviewRequest, RecoverRequest, Recovery, RejectRequest, RollbackRequest, Status, UndeleteRequest,
        VerifyQuery, VipRequest, Why, WhyQuery, WhyRefused, WhyRefusedRequest, WipeRequest,
    },
};
use crate::{
    config::Access,
    digest::Digest,
    metrics::Sample,
    plan::{Plan, Severity},
    preview::Preview,
    store::Page,
};

/// The digest of nothing in particular.
pub const DIGEST: &str = "7f3a9c0a1b2c000000000000000000000000000000000000000000000000ffff";

#[derive(Default)]
pub struct Fake {
    /// Every apply that ran to its end.
    pub applied: Mutex<Vec<ApplyRequest>>,
    /// Until it is notified, no apply ends; absent: they end at once.
    pub gate: Option<Notify>,
    /// Of the running generation.
    pub access: Option<Access>,
    /// Notified when an apply has begun.
    pub begun: Notify,
    /// Notified when an apply has ended.
    pub ended: Notify,
}

impl Backing for Fake {
    fn access(&self) -> Answer<'_, Option<Access>> {
        Box::pin(async { Ok(self.access.clone()) })
    }

    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async { Ok(status()) })
    }

    fn metrics(&self) -> Answer<'_, Sample> {
        Box::pin(async { Ok(crate::metrics::sample()) })
    }

    fn why(&self, query: WhyQuery) -> Answer<'_, Why> {
        Box::pin(async move {
            Ok(sample(json!({
                "vip": "web4", "pool": "web", "slot": query.sport, "backend": "be1", "chain": [],
                "verdict": "ForwardTx", "meaning": "Sent out of the interface it came in by.",
                "generation": 41, "revision": 43,
            })))
        })
    }

    /// A text without `vips:` is refused, as an empty one would be.
    fn plan(&self, request: PlanRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            if request.text.contains("vips:") {
                Ok(plan(&peer.name, &json!([])))
            } else {
                Ok(plan(&peer.name, &empty_is_refused()))
            }
        })
    }

    /// One second of a sample is well, longer ones find drops.
    fn preview(&self, request: PreviewRequest, _peer: Peer, may_sample: bool) -> Answer<'_, Preview> {
        Box::pin(async move {
            let mut told = json!({
                "plan": request.plan.digest(), "generation": 41, "revision": 43, "vips": 1, "flows": 8,
                "summary": "3.1 % of slots move, 0 new drops", "otherBackend": 0, "slots": 65536,
                "slotsMoved": 2031, "slotsKept": 2031, "tookUs": 21000,
            });
            if let Some(within) = request.sample.filter(|within| may_sample && *within > 0) {
                let drops = json!([{"vip": "web4", "packets": 3, "verdict": "DropTooBig"}]);
                told["sampled"] = json!({
                    "withinMs": within * 1000, "packets": 1204, "ofVips": 1204, "otherBackend": 37,
                    "ofEstablishedFlows": 0, "ends": 0, "newDrops": if within > 1 { drops } else { json!([]) },
                });
                if within > 1 {
                    told["refusal"] = json!({"code": "HF3020", "message": "packets would be dropped", "exit": 3});
                }
            }
            Ok(sample(told))
        })
    }

    fn apply(&self, request: ApplyRequest, _peer: Peer) -> Answer<'_, Applied> {
        Box::pin(async move {
            self.begun.notify_one();
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            if request.digest != request.plan.digest() {
                return Err(failure("HF2003", "the plan is not the one that was shown", 4));
            }
            if let Some(finding) = request
                .plan
                .findings
                .iter()
                .find(|finding| finding.severity == Severity::Refuse)
            {
                return Err(failure(&finding.code, &finding.message, 3));
            }
            self.applied.lock().expect("no test panics with it").push(request);
            self.ended.notify_one();
            Ok(applied())
        })
    }

    fn confirm(&self, _peer: Peer) -> Answer<'_, Applied> {
        Box::pin(async { Ok(applied()) })
    }

    fn abort(&self, _peer: Peer) -> Answer<'_, Applied> {
        Box::pin(async { Ok(applied()) })
    }

    fn rollback(&self, request: RollbackRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            match request.generation {
                None | Some(40) => Ok(plan(&peer.name, &json!([]))),
                Some(_) => Err(failure("HF5004", "there is no such generation", 1)),
            }
        })
    }

    fn attach(&self, _request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move { Ok(plan(&peer.name, &json!([]))) })
    }

    fn detach(&self, _request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            let nothing_left =
                json!([{"code": "HF2006", "severity": "refuse", "message": "nothing would be attached"}]);
            Ok(plan(&peer.name, &nothing_left))
        })
    }

    fn backend(&self, request: BackendRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            match request.backend.to_string().as_str() {
                "backend/web/be1" => Ok(plan(&peer.name, &json!([]))),
                other => Err(failure("HF5007", &format!("there is no {other}"), 1)),
            }
        })
    }

    fn vip(&self, request: VipRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            match request.vip.to_string().as_str() {
                "vip/web4" => Ok(plan(&peer.name, &json!([]))),
                other => Err(failure("HF5007", &format!("there is no {other}"), 1)),
            }
        })
    }

    fn approvals(&self, _peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(async { Ok(approvals()) })
    }

    fn waiting_plan(&self, digest: Digest) -> Answer<'_, Plan> {
        Box::pin(async move {
            let waiting = plan("ann", &json!([]));
            if waiting.digest() == digest {
                Ok(waiting)
            } else {
                Err(failure("HF5004", "there is no plan of this digest that waits", 1))
            }
        })
    }

    fn approve(&self, request: ApproveRequest, _peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(async move {
            if request.signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
                Ok(approvals())
            } else {
                Err(failure("HF2105", "it is no signature", 3))
            }
        })
    }

    fn reject(&self, _request: RejectRequest, _peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(async { Ok(approvals()) })
    }

    fn withdraw(&self, _request: RejectRequest, _peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(async { Ok(approvals()) })
    }

    fn hold(&self, _request: HoldRequest, _peer: Peer) -> Answer<'_, Status> {
        Box::pin(async { Ok(status()) })
    }

    fn resume(&self, _peer: Peer) -> Answer<'_, Status> {
        Box::pin(async { Ok(status()) })
    }

    fn break_glass(&self, _request: BreakGlassRequest, _peer: Peer) -> Answer<'_, Status> {
        Box::pin(async { Ok(status()) })
    }

    fn mend_glass(&self, _peer: Peer) -> Answer<'_, Status> {
        Box::pin(async { Ok(status()) })
    }

    fn recover(&self, request: RecoverRequest, _peer: Peer) -> Answer<'_, Recovery> {
        Box::pin(async move {
            Ok(sample(json!({
                "recovered": !request.dry_run, "generation": 41, "revision": 43, "digest": DIGEST,
                "why": "the kernel serves generation 41, and the state directory knows of none",
                "rebuilt": true, "remembered": 12, "aside": "/var/lib/holdfast/set-aside/2026-05-01T10-00-00Z",
                "hashKey": "same", "mode": "normal",
            })))
        })
    }

    fn undelete(&self, request: UndeleteRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            match request.objects.first().map(ToString::to_string).as_deref() {
                Some("vip/dns") => Ok(plan(&peer.name, &json!([]))),
                _ => Err(failure("HF5004", "there is no earlier generation that has it", 1)),
            }
        })
    }

    fn wipe(&self, request: WipeRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(async move {
            if request.environment == "lab" {
                Ok(plan(&peer.name, &json!([])))
            } else {
                Err(failure("HF2005", "it is not the environment of this host", 3))
            }
        })
    }

    fn why_refused(&self, request: WhyRefusedRequest, _peer: Peer) -> Answer<'_, WhyRefused> {
        Box::pin(async move {
            Ok(sample(json!({
                "plan": request.plan.digest(), "applicable": false, "needs": 2, "approvedBy": ["ben"],
                "refusal": {"code": "HF2073", "message": "1 of 2 approvals", "exit": 3},
                "rules": [{"code": "HF2064", "severity": "lock", "message": "vip dns is removed", "tier": "remove",
                    "overriddenBy": "2 approvals by others"}],
            })))
        })
    }

    fn history(&self) -> Answer<'_, History> {
        Box::pin(async { Ok(sample(json!({"generations": [summary(41)]}))) })
    }

    fn generation(&self, number: u64) -> Answer<'_, GenerationDetail> {
        Box::pin(async move {
            match number {
                40 | 41 => Ok(sample(json!({
                    "summary": summary(number), "content": content(number), "changes": [],
                }))),
                _ => Err(failure("HF5004", "there is no such generation", 1)),
            }
        })
    }

    fn bpf_dump(&self) -> Answer<'_, BpfDump> {
        Box::pin(async {
            Ok(sample(json!({
                "pins": status().pins, "active": "0300040005000600", "chunkSlots": 1024,
                "chunks": [{"slot": 3, "mapId": 71, "kind": "root", "of": "revision 43", "frozen": true,
                            "namedBy": "active", "digest": DIGEST}],
            })))
        })
    }

    fn bpf_verify(&self) -> Answer<'_, BpfVerify> {
        Box::pin(async {
            Ok(sample(json!({
                "ok": false, "generation": 41, "revision": 43,
                "checks": [{"name": "root digest", "ok": false, "detail": "chunk 3 differs"}],
            })))
        })
    }

    fn journal(&self) -> Answer<'_, Journal> {
        Box::pin(async {
            Ok(sample(
                json!({"entries": [{"seq": 1, "event": "intent", "message": "first start"}]}),
            ))
        })
    }

    fn journal_verify(&self, query: VerifyQuery) -> Answer<'_, JournalVerify> {
        Box::pin(async move {
            // A key that is not the host's.
            if query.key.is_some_and(|key| key.contains('+')) {
                return Ok(sample(json!({
                    "ok": false, "damage": {"code": "HF4004", "seq": 2, "message": "the journal is damaged at entry 2"},
                    "entries": 0, "signed": 0, "heads": 0, "keys": [], "warnings": [],
                })));
            }
            Ok(sample(json!({
                "ok": true, "entries": 3, "hash": DIGEST, "signed": 3, "heads": 1,
                "keys": [{"fingerprint": "SHA256:abc", "since": 2}], "warnings": ["entry 3 is odd"],
            })))
        })
    }

    fn journal_export(&self, query: ExportQuery) -> Answer<'_, Page> {
        Box::pin(async move { Ok(page(query.after)) })
    }
}

/// Two pages of one entry each, then nothing.
fn page(after: u64) -> Page {
    let entry = |seq: u64| {
        json!({"seq": seq, "time": "2026-01-02T03:04:05Z", "author": "ann", "kind": "note", "payload": "{}",
               "previous": DIGEST, "hash": DIGEST})
    };
    let (entries, next) = match after {
        0 => (json!([entry(1)]), json!(1)),
        1 => (json!([entry(2)]), Value::Null),
        _ => (json!([]), Value::Null),
    };
    sample(json!({
        "storeId": "5a", "host": "", "end": {"seq": 2, "hash": DIGEST}, "entries": entries, "heads": [], "next": next,
    }))
}

/// A value of the model, written as its JSON.
///
/// # Panics
/// If the JSON is not that of a `T`.
pub fn sample<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a sample is of its type")
}

pub fn failure(code: &str, message: &str, exit: u8) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        fix: None,
        exit,
    }
}

pub fn status() -> Status {
    sample(json!({
        "environment": "lab", "generation": 41, "revision": 43, "digest": DIGEST, "inSync": true, "mode": "normal",
        "interfaces": [{"name": "lb0", "ifindex": 12, "mode": "native", "progId": 57}],
        "verdicts": {"ForwardTx": {"packets": 41870, "bytes": 2_679_680}, "DropTtl": {"packets": 0, "bytes": 0}},
        "vips": [{"name": "web4", "address": "203.0.113.10", "port": 443, "protocol": "tcp", "pool": "web",
                  "packets": 41870, "bytes": 2_679_680}],
        "pools": [{"name": "web", "tableDigest": DIGEST, "backends": [
            {"name": "be1", "address": "10.0.1.11", "weight": 100, "state": "ready", "up": true, "slots": 65536,
             "nextHop": "02:00:00:00:00:11 via lb0", "path": {"mtu": 1500, "tooBig": 0, "errors": 0}, "packets": 41870, "bytes": 2_679_680}]}],
        "pins": {"directory": "/sys/fs/bpf/holdfast", "programs": {"prog/balancer": 57},
                 "maps": {"map/ACTIVE": 61, "map/CHUNKS": 60}},
    }))
}

/// What generation `number` serves; be1's weight tells one from another.
fn content(number: u64) -> Value {
    json!({"config": {
        "environment": "lab",
        "node": {"interfaces": [{"name": "lb0", "mode": "native"}], "encapSource": {"v4": "10.255.0.0/16"},
                 "hashKeyFile": "/var/lib/holdfast/hash.key"},
        "pools": [{"name": "web", "encap": "ipip", "table": "minmove",
            "drain": {"idle": "1m", "deadline": "1h"}, "backends": [
            {"name": "be1", "address": "10.0.1.11", "weight": number, "state": "ready"}]}],
        "vips": [{"name": "web4", "address": "203.0.113.10", "port": 443, "protocol": "tcp", "pool": "web",
                  "affinity": "tuple", "hash": "fast"}],
    }})
}

pub fn plan(author: &str, findings: &Value) -> Plan {
    let base = json!({"generation": 41, "digest": DIGEST});
    sample(json!({
        "about": "lab on lb1", "hosts": ["lb1"], "expires": "2026-01-02T03:34:05Z", "nonce": "5f8e2a90c1d34b67",
        "needs": 0, "bounds": {"broken": "0%", "vips": 0, "backends": 0},
        "blast": {"packets": 100, "broken": 0, "vips": 1, "backends": 1},
        "environment": "lab", "base": base, "target": content(50), "author": author,
        "issued": "2026-01-02T03:04:05Z", "findings": findings,
        "changes": [{"change": "changeBackend", "pool": "web",
            "from": {"name": "be1", "address": "10.0.1.11", "weight": 41, "state": "ready"},
            "to": {"name": "be1", "address": "10.0.1.11", "weight": 50, "state": "ready"}}],
        "effects": [{"pool": "web", "slotsMoved": 0, "slotsUnavoidable": 0}],
    }))
}

fn approvals() -> Approvals {
    sample(json!({
        "plans": [{"plan": DIGEST, "author": "ann", "about": "lab on lb1", "needs": 2, "approvedBy": ["ben"],
            "expires": "2026-01-02T03:34:05Z"}],
        "signers": [],
    }))
}

fn empty_is_refused() -> Value {
    json!([{"code": "HF2000", "severity": "refuse", "message": "the candidate has 0 VIPs; 1 is serving",
            "fix": "name what may go with --remove"}])
}

fn applied() -> Applied {
    sample(json!({
        "generation": 42, "revision": 44, "digest": DIGEST, "unchanged": false, "chunksWritten": 3,
        "chunksShared": 2, "publishUs": 1500, "effects": [{"pool": "web", "slotsMoved": 0, "slotsUnavoidable": 0}],
        "notes": ["be1: its next hop is not resolved yet"],
    }))
}

fn summary(number: u64) -> Value {
    json!({"generation": number, "digest": DIGEST, "author": "ann", "applied": "2026-01-02T03:04:05Z",
           "cause": "apply", "message": "add be1", "running": number == 41, "vips": 1, "backends": 1})
}
