//! What every storage has to do, as a test that each of them runs.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Error, Listed, Measured, ObjectName, Storage};
use crate::error::ApiError;

/// More than any storage takes at once.
const LARGE_BYTES: usize = 11 * 1024 * 1024 + 3;

pub(super) async fn all(storage: &dyn Storage) {
    assert_eq!(files(storage).await, [""; 0]);
    objects_are_measured_and_come_back(storage).await;
    a_cut_upload_is_no_object(storage).await;
    a_large_object_is_whole(storage).await;
    for file in files(storage).await {
        storage.delete(&ObjectName::parse(&file).unwrap()).await.unwrap();
    }
    assert_eq!(files(storage).await, [""; 0]);
}

fn name(file: &str) -> ObjectName {
    ObjectName::new("w", file).unwrap()
}

fn source(pieces: Vec<Result<Vec<u8>, ApiError>>, most: usize) -> Measured<'static> {
    let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from));
    Measured::new(stream::iter(pieces.collect::<Vec<_>>()).boxed(), most as u64)
}

async fn read(storage: &dyn Storage, file: &str) -> Option<Vec<u8>> {
    let content = storage.get(&name(file)).await.unwrap()?;
    let pieces: Vec<Bytes> = content.body.try_collect().await.unwrap();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, content.size_bytes);
    Some(bytes)
}

async fn files(storage: &dyn Storage) -> Vec<String> {
    let listed: Vec<Listed> = storage.list().try_collect().await.unwrap();
    assert!(listed.iter().all(|it| it.stored_at_ms > 1_600_000_000_000));
    let mut names: Vec<_> = listed.into_iter().map(|it| it.name.to_string()).collect();
    names.sort();
    names
}

async fn objects_are_measured_and_come_back(storage: &dyn Storage) {
    let mut abc = source(vec![Ok(b"a".to_vec()), Ok(b"bc".to_vec())], 3);
    storage.put(&name("1"), &mut abc).await.unwrap();
    let measured = abc.finish();
    assert_eq!(measured.size_bytes, 3);
    // RFC 6234's "abc".
    assert!(measured.sha256.starts_with("ba7816bf8f01cfea"));
    storage.put(&name("2.x_y-z"), &mut source(vec![], 3)).await.unwrap();
    assert_eq!(read(storage, "1").await.unwrap(), b"abc");
    assert_eq!(read(storage, "2.x_y-z").await.unwrap(), b"");
    assert_eq!(files(storage).await, ["w/1", "w/2.x_y-z"]);
    storage.delete(&name("1")).await.unwrap();
    storage.delete(&name("1")).await.unwrap();
    assert_eq!(read(storage, "1").await, None);
}

async fn a_cut_upload_is_no_object(storage: &dyn Storage) {
    let before = files(storage).await;
    for length in [3, LARGE_BYTES] {
        let early = ApiError::bad_request("the body ended early");
        let mut cut = source(vec![Ok(vec![7; length]), Err(early)], length + 1);
        assert!(matches!(storage.put(&name("cut"), &mut cut).await, Err(Error::Refused(_))));
        let mut long = source(vec![Ok(vec![7; length]), Ok(vec![7])], length);
        assert!(matches!(storage.put(&name("long"), &mut long).await, Err(Error::Refused(_))));
    }
    assert_eq!(files(storage).await, before);
    assert_eq!(read(storage, "cut").await, None);
}

async fn a_large_object_is_whole(storage: &dyn Storage) {
    let bytes: Vec<u8> = (0..LARGE_BYTES).map(|at| at.to_le_bytes()[at % 3]).collect();
    let pieces = bytes.chunks(70_001).map(|piece| Ok(piece.to_vec())).collect();
    storage.put(&name("large"), &mut source(pieces, LARGE_BYTES)).await.unwrap();
    assert!(read(storage, "large").await.unwrap() == bytes);
    assert!(files(storage).await.contains(&"w/large".to_owned()));
}
