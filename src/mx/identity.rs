//! The `_id`s of documents: a run's request id, or without one, an id that is always the same for the same run. A document that is
//! written twice exists once.

use blake2::digest::consts::U12;
use blake2::{Blake2s, Blake2s256, Digest};
use mongodb::bson::oid::ObjectId;

/// The `_id` for a request id: the request id itself if it is an ObjectId, otherwise its hash (blake2s of 12 bytes, as in pypushflow).
pub fn of_request(request: &str) -> ObjectId {
    if let Ok(id) = ObjectId::parse_str(request) {
        return id;
    }
    ObjectId::from_bytes(Blake2s::<U12>::digest(request.as_bytes()).into())
}

/// The `_id` of a run without a request id, or of a task: its time, as in every ObjectId, and a hash of its identity.
pub fn of_number(history: &str, run: u64, task: Option<u64>, micros: u64) -> ObjectId {
    let what = format!("{history} {run} {}", task.map_or_else(String::new, |task| task.to_string()));
    let hash = Blake2s256::digest(what.as_bytes());
    let mut id = [0; 12];
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX);
    id[..4].copy_from_slice(&seconds.to_be_bytes());
    id[4..].copy_from_slice(&hash[..8]);
    ObjectId::from_bytes(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_itself_or_the_hash_that_pypushflow_makes_of_it() {
        assert_eq!(of_request("0123456789abcdefABCDEF01").to_hex(), "0123456789abcdefabcdef01");
        // pypushflow.persistence.besdb._create_objectid("abc")
        assert_eq!(of_request("abc").to_hex(), "0e8ac6520eb9581512e372a3");
        assert_ne!(of_request(""), of_request("0123456789abcdefABCDEF0"));
    }

    #[test]
    fn the_same_run_has_the_same_id_and_no_other_has_it() {
        let id = of_number("h", 1, None, 1_700_000_000_000_000);
        assert_eq!(id, of_number("h", 1, None, 1_700_000_000_000_000));
        assert_eq!(id.timestamp().timestamp_millis(), 1_700_000_000_000);
        let others = [
            of_number("i", 1, None, 1_700_000_000_000_000),
            of_number("h", 2, None, 1_700_000_000_000_000),
            of_number("h", 1, Some(1), 1_700_000_000_000_000),
            of_number("h", 11, None, 1_700_000_000_000_000),
        ];
        assert!(!others.contains(&id));
    }
}
