//! Planted in lists.

use rand::RngExt as _;

use super::Plant;
use super::places::{any_list, rows};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "a list lacks an intent",
        found_by: &["listings"],
        plant: |history, rng| {
            let (listing, known) = any_list(history, rng, 2)?;
            let rows = rows(listing)?;
            // Steps of scenarios are listed, and nobody has submitted them.
            let places: Vec<usize> =
                (0..rows.len()).filter(|at| known.contains(&rows[*at].intent)).collect();
            let at = *places.get(rng.random_range(0..places.len().max(1)))?;
            rows.remove(at);
            Some(())
        },
    },
    Plant {
        what: "a list has an intent twice",
        found_by: &["listings"],
        plant: |history, rng| {
            let rows = rows(any_list(history, rng, 1)?.0)?;
            let at = rng.random_range(0..rows.len());
            rows.insert(at, rows[at].clone());
            Some(())
        },
    },
    Plant {
        what: "a list is not in its order",
        found_by: &["listings"],
        plant: |history, rng| {
            let rows = rows(any_list(history, rng, 2)?.0)?;
            let at = rng.random_range(1..rows.len());
            rows.swap(at - 1, at);
            Some(())
        },
    },
    Plant {
        what: "a list says another status",
        found_by: &["listings"],
        plant: |history, rng| {
            let (listing, known) = any_list(history, rng, 1)?;
            let row = rows(listing)?.iter_mut().find(|row| known.contains(&row.intent))?;
            row.status = "WAITING".to_owned();
            Some(())
        },
    },
    Plant {
        what: "a list has an intent of others",
        found_by: &["listings"],
        plant: |history, rng| {
            let (listing, _) = any_list(history, rng, 1)?;
            let (org, row) = (listing.org, rows(listing)?.first()?.clone());
            let theirs =
                history.listings.iter_mut().find(|other| other.last && other.org != org)?;
            let rows = rows(theirs)?;
            let at = rows.partition_point(|known| known.intent > row.intent);
            rows.insert(at, row);
            Some(())
        },
    },
];
