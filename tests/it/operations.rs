//! The chat with a metrics page and an inspection port, and the programs of operators: curl, socat.

use crate::examples::ANY;
use crate::support::{Child, Client, Folder, TIMEOUT, has_tool};
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use twistor::UnixAddress;

/// Seconds after which curl and socat give up.
const PATIENCE: &str = "60";

struct Chat {
    server: Child,
    address: SocketAddr,
    page: String,
    socket: PathBuf,
    _folder: Folder,
}

impl Chat {
    fn start() -> Self {
        let folder = Folder::new();
        let socket = folder.join("inspect");
        let path = socket.to_str().unwrap();
        let server = Child::example("chat", &[ANY, "--metrics", ANY, "--inspect", path]);
        let address = server.address();
        let page = format!("http://{}/metrics", server.line_after("metrics on "));
        assert_eq!(server.line_after("inspection on "), path);
        Self { server, address, page, socket, _folder: folder }
    }

    /// Connects a member, which has a name.
    fn join(&self, name: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.send(format!("{name}\n"));
        client.expect(format!("What's your name?\r\nWelcome, {name}!\r\n"));
        client
    }

    /// Asks by socat; returns the answers.
    #[track_caller]
    fn ask(&self, commands: &str) -> String {
        let output = self.socat(&mut Command::new("socat"), commands);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn socat(&self, command: &mut Command, commands: &str) -> Output {
        let target = format!("UNIX-CONNECT:{}", self.socket.display());
        command.args(["-t", PATIENCE, "-T", PATIENCE, "-", &target]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut socat = command.spawn().unwrap();
        // One that is refused may not read it.
        let _ = socat.stdin.take().unwrap().write_all(commands.as_bytes());
        socat.wait_with_output().unwrap()
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", PATIENCE]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn curl_gets_the_page_of_the_chat() {
    if !has_tool("curl", "curl") {
        return;
    }
    let chat = Chat::start();
    let _members = [chat.join("Ann"), chat.join("Bob")];
    let page = chat.curl(&[&chat.page]);
    assert!(page.contains("\ntwistor_connections{protocol=\"Lines<Chatter>\"} 2\n"), "{page}");
    assert!(
        page.contains("\ntwistor_connections{protocol=\"Lines<MetricsRequest>\"} 1\n"),
        "{page}"
    );
    let head = chat.curl(&["--head", &chat.page]);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    for (options, expected) in [
        (&[][..], "200"),
        (&["--http1.0"], "200"),
        (&["--http0.9", "--request", "POST", "--data", "x"], "405"),
        (&["--request-target", "/"], "404"),
        (&["--header", "Host;"], "200"),
        (&["--header", "Host:"], "400"),
    ] {
        let arguments = [options, &status, &[&chat.page]].concat();
        assert_eq!(chat.curl(&arguments), expected, "{options:?}");
    }
    let long = "x".repeat(10_000);
    let answer =
        chat.curl(&[&["--header", &format!("A: {long}")], &status[..], &[&chat.page]].concat());
    assert_eq!(answer, "431");
}

#[test]
fn socat_shows_members_and_closes_one() {
    if !has_tool("socat", "socat") {
        return;
    }
    let chat = Chat::start();
    let mode = fs::metadata(&chat.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (ann, mut bob) = (chat.join("Ann"), chat.join("Bob"));
    let listed = chat.ask("connections Chatter\n");
    let lines: Vec<&str> = listed.lines().collect();
    let [first, second, "ok"] = lines[..] else { panic!("{listed}") };
    let id_of = |client: &Client| {
        let address = client.address().to_string();
        let line = [first, second].into_iter().find(|line| line.contains(&address)).unwrap();
        line.split(' ').next().unwrap().to_owned()
    };
    let (gone, kept) = (id_of(&ann), id_of(&bob));
    assert_eq!(chat.ask(&format!("close {gone}\n")), "ok\n");
    ann.expect_close();
    let answers = chat.ask(&format!("close {gone}\nconnections Chatter\ntimers\nnonsense\n"));
    assert!(answers.starts_with("error: there is no connection"), "{answers}");
    assert!(answers.contains(&format!("\n{kept} side=accepted state=open")), "{answers}");
    assert!(
        answers.ends_with("error: unknown command \"nonsense\"; help lists them\n"),
        "{answers}"
    );
    assert_eq!(chat.ask("drain\n").lines().next_back(), Some("ok"));
    bob.expect("The chat is closing. Goodbye.\r\n");
    let (status, said) = chat.server.wait();
    assert!(status.success(), "{status}: {said}");
    assert!(!chat.socket.exists(), "the socket is removed");
}

/// Returns true if this process may act as another user.
fn is_superuser() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

#[test]
fn another_user_is_refused_whatever_the_mode_of_the_socket() {
    if !has_tool("socat", "socat") || !is_superuser() {
        eprintln!("skipped: it takes the superuser to be another user");
        return;
    }
    let chat = Chat::start();
    fs::set_permissions(chat.socket.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let other = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", "socat"]);
        chat.socat(&mut command, "connections\n")
    };
    let denied = other();
    assert!(!denied.status.success() && denied.stdout.is_empty(), "{denied:?}");
    fs::set_permissions(&chat.socket, Permissions::from_mode(0o666)).unwrap();
    let refused = other();
    assert_eq!(refused.stdout, b"error: not permitted for user 65534\n", "{refused:?}");
    assert_eq!(chat.ask("quit\n"), "ok\n", "its own user is served");
}

#[test]
fn the_options_of_the_chat_are_checked() {
    for (arguments, expected) in [
        (&["--metrics"][..], "--metrics needs a value"),
        (&["--metrics", "what:1"], "what"),
        (&["--verbose"], "no option --verbose"),
        (&[ANY, ANY], "one endpoint too many"),
    ] {
        let (status, said) = Child::example("chat", arguments).wait();
        assert!(!status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
}

/// Descriptors of a chat that few clients fill.
const FEW_DESCRIPTORS: &str = "40";

/// Connects a client, and waits until it is greeted; `None` if it is turned away.
fn greeted(address: SocketAddr) -> Option<TcpStream> {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    match client.read(&mut [0]) {
        Ok(0) => None,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        read => read.map(|_| Some(client)).unwrap(),
    }
}

#[test]
fn out_of_descriptors_operators_come_and_go_and_clients_are_turned_away() {
    let folder = Folder::new();
    let socket = folder.join("inspect");
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$0" && exec "$@""#, FEW_DESCRIPTORS]);
    command.arg(Child::path("chat")).args([ANY, "--inspect", socket.to_str().unwrap()]);
    let server = Child::spawn(&mut command);
    let address = server.address();
    let members: Vec<TcpStream> = std::iter::from_fn(|| greeted(address)).collect();
    assert!(!members.is_empty());
    for _ in 0..3 {
        let mut operator = Client::connect(UnixAddress::path(&socket));
        operator.send("quit\n");
        operator.expect("ok\n");
        operator.expect_close();
        // The descriptor of the operator is the reserve again, and no client's.
        assert!(greeted(address).is_none());
    }
}
