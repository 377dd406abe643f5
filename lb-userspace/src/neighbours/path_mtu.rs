//! Which path MTUs are believed. Pure: the time is an argument.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::abi::{
    flows::{Seconds, seconds},
    path_mtu::PathMtu,
};

/// A path may have become wider after ten minutes (RFC 1191 §6.3, RFC 8201
/// §5.3): packets as long as the link takes are tried again.
const BELIEVED: Seconds = seconds(600_000_000_000);

/// The MTUs that hold now, bytes, of what the kernel's PATH_MTU says.
#[must_use]
pub fn believed(paths: &[(IpAddr, PathMtu)], now: Seconds) -> BTreeMap<IpAddr, u16> {
    let fresh = paths.iter().filter(|(_, path)| {
        // The program's clock may be a tick ahead of ours.
        let age = now.wrapping_sub(path.seen).cast_signed();
        path.mtu != 0 && age < BELIEVED.cast_signed()
    });
    fresh
        .map(|(address, path)| (*address, u16::try_from(path.mtu).unwrap_or(u16::MAX)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(mtu: u32, seen: Seconds) -> [(IpAddr, PathMtu); 1] {
        let path = PathMtu {
            mtu,
            seen,
            too_big: 1,
            errors: 0,
        };
        [([10, 0, 1, 11].into(), path)]
    }

    #[test]
    fn path_mtu_holds_for_ten_minutes_and_no_longer() {
        for seen in [0, 1000, Seconds::MAX - 3] {
            let at = |age: Seconds| believed(&path(1400, seen), seen.wrapping_add(age)).len();
            assert_eq!([at(0), at(BELIEVED - 1), at(BELIEVED), at(10 * BELIEVED)], [1, 1, 0, 0]);
            assert_eq!(at(Seconds::MAX), 1, "a tick ahead");
        }
        assert!((558..=559).contains(&BELIEVED), "units of 1.07 s");
    }

    #[test]
    fn other_errors_say_nothing_of_the_mtu() {
        assert_eq!(believed(&path(0, 5), 5), BTreeMap::new());
    }
}
