//! Where a run is killed.

use crate::promises::ground::{Call, Purpose, Service};

/// Where and when.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) place: Place,
    pub(super) moment: Moment,
}

impl Point {
    /// The CA has been told to look, and whoever would answer it is killed: it may find nothing, and end the order.
    pub(super) fn is_while_the_ca_looks(&self) -> bool {
        match &self.place {
            Place::Call(call) if call.service == Service::Acme => match call.name.as_str() {
                "challenge" => self.moment == Moment::After,
                // The first look is before it is told.
                "authorization" => call.nth > 0,
                _ => false,
            },
            Place::Call(_) | Place::Write(_) => false,
        }
    }
}

/// What the run is at.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Call(Call),
    /// The journal's write with this number, from 1.
    Write(usize),
}

/// Whether it has had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    After,
    Before,
}

/// Before and after each; only before where there is no effect, because the run then knows as little as after it.
pub(super) fn all(writes: usize, calls: Vec<Call>) -> Vec<Point> {
    let mut points = Vec::new();
    for place in (1..=writes).map(Place::Write).chain(calls.into_iter().map(Place::Call)) {
        let has_effect = match &place {
            Place::Call(call) => !matches!(call.purpose, Purpose::Read | Purpose::ReadAgain),
            Place::Write(_) => true,
        };
        if has_effect {
            points.push(Point { place: place.clone(), moment: Moment::After });
        }
        points.push(Point { place, moment: Moment::Before });
    }
    points
}

/// Draws one, the same from the same seed for the same case on every machine.
pub(super) fn draw(seed: u64, case: usize, points: &[Point]) -> &Point {
    // SplitMix64.
    let mut mixed = seed.wrapping_add((case as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    &points[usize::try_from((mixed ^ (mixed >> 31)) % points.len() as u64).unwrap()]
}
