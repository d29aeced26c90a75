use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Serves `answers` on one connection, cut into pieces of `size` bytes, then closes it.
async fn served(answers: &'static [u8], size: usize) -> (Connection, JoinSet<()>) {
    let mut server = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    server.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        for piece in answers.chunks(size) {
            socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    (Connection::open(&address).await.unwrap(), server)
}

#[tokio::test]
async fn answers_on_one_connection_stay_apart() {
    let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst\
        HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 503 Busy\r\nretry-after: 2\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nx-trailer: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end";
    for size in [1, 2, 7, answers.len()] {
        let (mut connection, _server) = served(answers, size).await;
        let head = connection.head().await.unwrap();
        assert_eq!((head.status, head.keep_alive), (200, true));
        assert_eq!(connection.collect(head.body).await.unwrap(), "first");
        let head = connection.head().await.unwrap();
        assert_eq!((head.status, head.retry_after), (503, Some(2)));
        assert_eq!(connection.collect(head.body).await.unwrap(), "second");
        let head = connection.head().await.unwrap();
        assert!(!head.keep_alive);
        assert_eq!(connection.collect(head.body).await.unwrap(), "to the end");
    }
}

#[tokio::test]
async fn a_body_cut_short_is_a_failure() {
    let cut: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
    ];
    for answer in cut {
        let (mut connection, _server) = served(answer, answer.len()).await;
        let head = connection.head().await.unwrap();
        let result = connection.collect(head.body).await;
        assert!(matches!(result, Err(Failure::Closed)), "{result:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let (mut connection, _server) = served(b"SSH-2.0-OpenSSH\r\n\r\n", 64).await;
    assert!(matches!(connection.head().await, Err(Failure::Malformed(_))));
}
