//! Overrides by command: which cannot be, and which hide what the file says.

use super::{Code, Finding, ObjectName, Severity, finding};
use crate::{
    config::limits::MAX_WEIGHT,
    plan::{
        Change, Content,
        overrides::{backend_of, vip_of},
    },
};

/// Overrides of the target that cannot be. A plan may come from anybody, so its
/// overrides are judged as a file is.
pub fn impossible(target: &Content) -> Vec<Finding> {
    let of_backends = target.overrides.backends.iter();
    let of_backends = of_backends.filter_map(|(object, of)| {
        let why = if let Err(error) = backend_of(&target.config, object) {
            error.to_string()
        } else if of.is_empty() {
            "it says nothing".to_owned()
        } else if let Some(weight) = of.weight.filter(|weight| *weight > MAX_WEIGHT) {
            format!("weight {weight} is above the limit of {MAX_WEIGHT}")
        } else {
            return None;
        };
        Some(bad(object, &why).fix("plan again, with holdfast backend drain|ready|maint|weight|reset"))
    });
    let of_vips = target.overrides.vips.iter();
    let of_vips = of_vips.filter_map(|(object, state)| {
        let why = match vip_of(&target.config, object) {
            Err(error) => error.to_string(),
            Ok(file) if file.state == *state => "it says what the file says".to_owned(),
            Ok(_) => return None,
        };
        Some(bad(object, &why).fix("plan again, with holdfast vip ready|maint|reset"))
    });
    of_backends.chain(of_vips).collect()
}

fn bad(object: &ObjectName, why: &str) -> Finding {
    let message = format!("the override of {object} cannot be: {why}");
    finding(Code::BadOverride, Severity::Refuse, message).about(object.clone())
}

/// What the file changes and an override hides, and overrides that go.
pub fn hidden(target: &Content, changes: &[Change]) -> Vec<Finding> {
    changes.iter().filter_map(|change| of_change(target, change)).collect()
}

fn of_change(target: &Content, change: &Change) -> Option<Finding> {
    match change {
        Change::ChangeBackend { pool, from, to } => {
            let over = target.overrides.backend(pool, &to.name)?;
            let hidden: Vec<String> = [
                over.weight
                    .filter(|_| from.weight != to.weight)
                    .map(|weight| format!("weight {weight}, not {}", to.weight)),
                over.state
                    .filter(|_| from.state != to.state)
                    .map(|state| format!("{state}, not {}", to.state)),
            ]
            .into_iter()
            .flatten()
            .collect();
            let object = name(pool, &to.name);
            (!hidden.is_empty()).then(|| {
                let message = format!("{object} keeps what was set by command: {}", hidden.join("; "));
                note(message, object, pool, &to.name)
            })
        }
        Change::Override { pool, file, from, to } if to.is_empty() && is_gone(target, pool, &file.name) => {
            let object = name(pool, &file.name);
            let message = format!("the override of {object} goes with it ({from})");
            Some(finding(Code::Overridden, Severity::Note, message).about(object))
        }
        Change::ChangeVip { from, to } if from.state != to.state => {
            let object = ObjectName::Vip(to.name.clone());
            let state = target.overrides.vips.get(&object)?;
            let message = format!("{object} keeps what was set by command: {state}, not {}", to.state);
            let fix = format!("holdfast vip reset {}", to.name);
            Some(
                finding(Code::Overridden, Severity::Note, message)
                    .about(object)
                    .fix(&fix),
            )
        }
        Change::OverrideVip { file, from, to: None } => {
            let object = ObjectName::Vip(file.name.clone());
            vip_of(&target.config, &object).is_err().then(|| {
                let state = from.map_or_else(String::new, |state| format!(" ({state})"));
                let message = format!("the override of {object} goes with it{state}");
                finding(Code::Overridden, Severity::Note, message).about(object)
            })
        }
        Change::Override { .. }
        | Change::OverrideVip { .. }
        | Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::RemoveVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::RemovePool { .. }
        | Change::AddBackend { .. }
        | Change::RemoveBackend { .. }
        | Change::ChangeNode { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Detach { .. }
        | Change::Attach { .. } => None,
    }
}

fn note(message: String, object: ObjectName, pool: &str, backend: &str) -> Finding {
    finding(Code::Overridden, Severity::Note, message)
        .about(object)
        .fix(&format!("holdfast backend reset {pool}/{backend}"))
}

fn is_gone(target: &Content, pool: &str, backend: &str) -> bool {
    backend_of(&target.config, &name(pool, backend)).is_err()
}

fn name(pool: &str, backend: &str) -> ObjectName {
    ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}
