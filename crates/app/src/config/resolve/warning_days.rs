//! The days at which the end of a certificate is warned of.

use super::Resolver;
use crate::config::spanned::Spanned;

impl Resolver<'_> {
    /// Descending, without duplicates; `None` where the config leaves it to the load balancers.
    pub(super) fn warning_days(&mut self, written: &[Spanned<u64>]) -> Option<Vec<u16>> {
        let mut days = Vec::new();
        for day in written {
            match u16::try_from(day.value) {
                Ok(value) if (1..=MOST).contains(&value) => days.push(value),
                _ => self.refuse::<()>(day.at, format!("`{}` is no number of days to warn at", day.value), HINT)?,
            }
        }
        days.sort_unstable_by(|one, other| other.cmp(one));
        days.dedup();
        (!days.is_empty()).then_some(days)
    }
}

const MOST: u16 = 1000;
const HINT: &str = "write days before the end, 1 to 1000: `warning-days: [30, 7, 1]`";
