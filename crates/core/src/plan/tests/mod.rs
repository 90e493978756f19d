//! Tables for each of the plan's questions, and properties of plans in worlds that are made up at random.

mod deliver;
mod followers;
mod http01;
mod issue;
mod listener;
mod model;
mod properties;
mod retire;
mod roll_back;
mod scenario;
pub(super) mod world;
