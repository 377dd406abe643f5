//! The next table from the table before: only what must move does.
//!
//! Every member has a quota (see [`super::quotas`]); *nobody* has the rest,
//! which is no slot or all of them. An owner with more slots than its quota has
//! a *surplus* (all of its slots, if it departed), one with fewer a *deficit*.
//! Any table that meets the quotas takes at least its surplus from each owner;
//! this one takes exactly that. In four walks over the slots:
//!
//! 1. *Homecoming.* A slot goes to its owner in the home table, if its present
//!    owner has a surplus left and that one a deficit.
//! 2. *Strangers go.* Owners with a surplus left release slots whose home is
//!    elsewhere,
//! 3. *then natives,* when that was not enough.
//! 4. *Filling.* Released slots are dealt to the deficits.
//!
//! The home table is the table as it would be if every ready backend were up.
//! A caller keeps two tables for a pool: the published one, and the home table,
//! which it advances with [`home`] when the configuration changes, and only
//! then. When backends went down, in any order, and come back together, the
//! table is the home table again, exactly: those that stayed have only gained
//! slots, so their surplus is what they gained. When several come back one
//! after the other, minimum and home can conflict over a few slots in a
//! thousand; the minimum wins, and those slots stay where they are until one
//! of their owners has to move some anyway.
//!
//! An index may be given to another backend only when neither table holds it.
//!
//! Slots are walked and dealt in a fixed pseudo-random order, so that what an
//! owner releases is spread over its slots, and what each owner receives over
//! all that release. Cost: O(slots + members · log members), about 1 ms in the
//! dev profile; the allocations are one table and one list.

use lb_common::abi::{member::MemberIndex, table::SLOTS};

use super::{PerOwner, Share, Slots, Table, by_name, copy_of};

#[cfg(test)]
mod tests;

/// The table after `previous` that meets the quotas of `shares`, the backends
/// in service, and moves [`unavoidable`] slots.
///
/// # Panics
/// If a share's member is above [`lb_common::abi::member::MAX_MEMBERS`].
#[must_use]
pub fn next(previous: &Table, home: &Table, shares: &[Share]) -> Table {
    let shares = by_name(shares);
    let mut imbalance = Imbalance::of(previous, &shares);
    if imbalance.is_none() {
        return previous.clone();
    }
    let mut slots = copy_of(previous);
    // In the home table itself every slot is at home.
    if home != previous {
        let home = home.slots();
        bring_home(&mut slots, home, &mut imbalance);
        release(&mut slots, &mut imbalance, |slot, owner| home[slot] != owner);
    }
    release(&mut slots, &mut imbalance, |_, _| true);
    deal(&mut slots, &imbalance.receivers(&shares));
    Table::of(slots)
}

/// The home table after `previous_home`, for `shares`, all ready backends,
/// whether they are up or not. The first one comes from [`Table::nobody`].
///
/// # Panics
/// As [`next`].
#[must_use]
pub fn home(previous_home: &Table, shares: &[Share]) -> Table {
    next(previous_home, previous_home, shares)
}

/// The fewest slots that any table meeting the quotas of `shares` moves from
/// `previous`: Σ max(0, slots − quota) over the owners, departed ones and
/// nobody included.
///
/// # Panics
/// As [`next`].
#[must_use]
pub fn unavoidable(previous: &Table, shares: &[Share]) -> u32 {
    Imbalance::of(previous, &by_name(shares)).surplus.iter().sum()
}

/// Slots each owner has too many, or too few. One of the two is 0, and their
/// sums are equal.
struct Imbalance {
    surplus: PerOwner,
    deficit: PerOwner,
}

impl Imbalance {
    fn of(previous: &Table, shares: &[(&Share, u32)]) -> Self {
        let have = previous.counts_by_owner();
        let mut quotas: PerOwner = [0; _];
        quotas[usize::from(NOBODY)] = SLOTS as u32;
        for &(share, quota) in shares {
            quotas[usize::from(share.member)] = quota;
            quotas[usize::from(NOBODY)] -= quota;
        }
        Self {
            surplus: std::array::from_fn(|owner| have[owner].saturating_sub(quotas[owner])),
            deficit: std::array::from_fn(|owner| quotas[owner].saturating_sub(have[owner])),
        }
    }

    /// Every owner has its quota.
    fn is_none(&self) -> bool {
        self.surplus.iter().all(|&slots| slots == 0)
    }

    /// Each owner with a deficit, as many times as it lacks a slot.
    fn receivers(&self, shares: &[(&Share, u32)]) -> Vec<MemberIndex> {
        let owners = shares.iter().map(|(share, _)| share.member);
        std::iter::once(NOBODY)
            .chain(owners)
            .flat_map(|owner| std::iter::repeat_n(owner, self.deficit[usize::from(owner)] as usize))
            .collect()
    }
}

fn bring_home(slots: &mut Slots, home: &Slots, imbalance: &mut Imbalance) {
    for slot in walk() {
        let from = usize::from(slots[slot]);
        let to = usize::from(home[slot]);
        // Nobody has both, so `from` is not `to`.
        if imbalance.surplus[from] > 0 && imbalance.deficit[to] > 0 {
            imbalance.surplus[from] -= 1;
            imbalance.deficit[to] -= 1;
            slots[slot] = home[slot];
        }
    }
}

/// Marks slots of owners that have a surplus, until they have none.
fn release(slots: &mut Slots, imbalance: &mut Imbalance, may_go: impl Fn(usize, MemberIndex) -> bool) {
    for slot in walk() {
        let owner = slots[slot];
        if owner == RELEASED {
            continue;
        }
        let surplus = &mut imbalance.surplus[usize::from(owner)];
        if *surplus > 0 && may_go(slot, owner) {
            *surplus -= 1;
            slots[slot] = RELEASED;
        }
    }
}

/// Gives each released slot to one of `receivers`, which are as many.
fn deal(slots: &mut Slots, receivers: &[MemberIndex]) {
    // Shuffled by skipping: of a permutation of all numbers below 65,536,
    // those that are an index. It must not be the order of the slots, or the
    // owners' slots would be neighbours.
    let shuffled = walk().map(|at| usize::from(scatter(at as u16)));
    let mut shuffled = shuffled.filter_map(|at| receivers.get(at));
    for slot in walk() {
        if slots[slot] == RELEASED {
            slots[slot] = *shuffled.next().expect("what is released is what is missing");
        }
    }
}

/// Every slot once.
fn walk() -> impl Iterator<Item = usize> {
    (0..=u16::MAX).map(|step| usize::from(scatter(step)))
}

/// A permutation of the 16-bit numbers that looks random: each of its steps can
/// be undone. Constants: `hash16_xm3` of Chris Wellons' hash-prospector.
const fn scatter(number: u16) -> u16 {
    let mut x = number;
    x ^= x >> 7;
    x = x.wrapping_mul(0x2993);
    x ^= x >> 5;
    x = x.wrapping_mul(0xe877);
    x ^= x >> 9;
    x = x.wrapping_mul(0x0235);
    x ^ x >> 10
}

const NOBODY: MemberIndex = 0;

/// Stands in a slot between two walks; no member has this number.
const RELEASED: u16 = u16::MAX;
