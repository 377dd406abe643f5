use super::*;

const DAEMON: u32 = 990;

fn accounts() -> Accounts {
    Accounts {
        passwd: "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\n".to_owned(),
        group: "root:x:0:\nusers:x:100:\nholdfast:x:800:ann,carl\n".to_owned(),
    }
}

fn peer(uid: u32, groups: &[u32]) -> Peer {
    Peer {
        uid,
        gid: groups.first().copied().unwrap_or(uid),
        groups: groups.to_vec(),
        pid: None,
        name: format!("uid {uid}"),
        login: None,
    }
}

fn access(viewer: &str, operator: &str, approver: &str, admin: &str) -> Access {
    let list = |text: &str| {
        text.split_whitespace()
            .map(|subject| subject.parse().expect("a subject"))
            .collect()
    };
    Access {
        viewer: list(viewer),
        operator: list(operator),
        approver: list(approver),
        admin: list(admin),
    }
}

fn said(peer: &Peer, access: Option<&Access>) -> String {
    Standing::of(peer, access, DAEMON, &accounts()).to_string()
}

#[test]
fn without_access_root_and_the_daemons_user_are_admins_and_all_others_viewers() {
    assert_eq!(said(&peer(0, &[]), None), "admin");
    assert_eq!(said(&peer(DAEMON, &[]), None), "admin");
    assert_eq!(said(&peer(1000, &[800]), None), "viewer");
}

#[test]
fn access_names_users_and_groups_by_name_and_by_number() {
    let access = access("group:users", "group:holdfast uid:1005", "user:ann", "gid:77");
    let of = |uid, groups: &[u32]| said(&peer(uid, groups), Some(&access));
    assert_eq!(of(1001, &[100]), "viewer");
    assert_eq!(of(1002, &[5, 800]), "operator", "a supplementary group counts");
    assert_eq!(of(1005, &[]), "operator");
    assert_eq!(of(1000, &[800]), "approver and operator");
    assert_eq!(of(1000, &[]), "approver");
    assert_eq!(of(1006, &[77]), "admin");
    assert_eq!(of(1007, &[7]), "without a role");
    assert_eq!(of(0, &[]), "admin", "root, whatever is written");
}

#[test]
fn names_that_are_not_on_this_host_are_nobody() {
    let access = access("user:zoe", "group:zoo", "", "");
    assert_eq!(said(&peer(1000, &[800]), Some(&access)), "without a role");
}

#[test]
fn approver_may_not_operate_and_admin_may_not_approve() {
    let access = access("", "", "uid:1", "uid:2");
    let has = |uid, role| Standing::of(&peer(uid, &[]), Some(&access), DAEMON, &accounts()).has(role);
    assert!(has(1, Role::Approver) && has(1, Role::Viewer));
    assert!(!has(1, Role::Operator) && !has(1, Role::Admin));
    assert!(has(2, Role::Operator) && !has(2, Role::Approver));
}

#[test]
fn refusal_says_what_one_has_what_is_needed_and_who_can() {
    let access = access("uid:1000", "group:holdfast", "", "user:ann");
    let peer = peer(1000, &[]);
    let access = Some(&access);
    let standing = Standing::of(&peer, access, DAEMON, &Accounts::default());
    let failure = standing.needs(Role::Operator, &peer, access).expect_err("a viewer");
    assert_eq!((failure.code.as_str(), failure.exit), ("HF5003", 7));
    assert_eq!(
        failure.message,
        "uid 1000 is viewer; this needs the role operator. Nothing was changed."
    );
    let fix = failure.fix.expect("who can");
    assert!(fix.starts_with("ask one of: group:holdfast, root, user:ann"), "{fix}");
}

#[test]
fn members_of_groups_are_read_from_the_database() {
    assert_eq!(accounts().groups_of("carl"), [800]);
    assert_eq!(accounts().groups_of("dora"), Vec::<u32>::new());
}
