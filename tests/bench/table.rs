//! Medians and ratios.

use crate::load::Load;

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The ratio round by round: its median, least and most.
pub(crate) fn ratio(a: &[Load], b: &[Load], figure: fn(&Load) -> f64) -> String {
    let mut ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| figure(a) / figure(b)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    format!("{:.2} ({:.2} to {:.2})", median(ratios.clone()), ratios[0], ratios[ratios.len() - 1])
}
